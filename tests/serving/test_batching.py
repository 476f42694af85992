"""Requests that run together are answered as if each had run alone."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.config import BatchOptions, LoadOptions
from serving.errors import Code, LoadError, ModelError
from serving.servable import Servable, load_servable

from .example_models import build_pair, build_stateful, build_table, build_tf1

Load = Callable[..., Servable]
ONE_THREAD = BatchOptions(num_batch_threads=1, batch_timeout_micros=20_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("batching")
    for number, factor in enumerate([1.0, 10.0, 100.0, 1000.0]):
        build_pair(path / f"pair{number}", factor)
    build_stateful(path / "stateful")
    (path / "words.txt").write_text("oak\nash\nelm\n")
    build_table(path / "table", path / "words.txt")
    build_tf1(path / "tf1")
    return path


@pytest.fixture
def load(folder: Path) -> Iterator[Load]:
    loaded: list[Servable] = []

    def load(name: str, version: int = 1, **options: Any) -> Servable:
        loaded.append(load_servable(name, version, folder / name, LoadOptions(**options)))
        return loaded[-1]

    yield load
    for one in loaded:
        one.close()


def ask(servable: Servable, *numbers: int) -> dict[str, Any]:
    files = np.array([str(number).encode() for number in numbers], object)
    return servable.run("serving_default", {"image_bytes": files}, ["labels", "rows", "scores"])


def at_once(asks: list[Callable[[], Any]]) -> list[Any]:
    """Call all of them at the same time; give answers, or what was raised."""
    barrier = threading.Barrier(len(asks))

    def call(ask: Callable[[], Any]) -> Any:
        barrier.wait()
        try:
            return ask()
        except ModelError as error:
            return error

    with ThreadPoolExecutor(len(asks)) as pool:
        return list(pool.map(call, asks))


def test_two_models_and_two_versions_never_mix_their_answers(load: Load) -> None:
    """10,000 calls from 16 threads each; a queue shared by name would answer with each other's."""
    servables = [load(f"pair{number}", 1 + number % 2, batching=ONE_THREAD) for number in range(4)]
    calls, wrong, together = 2500, [], []
    counters = [iter(range(calls)) for _ in servables]
    lock = threading.Lock()

    def client(place: int) -> None:
        while True:
            with lock:
                number = next(counters[place], None)
            if number is None:
                return
            answer = ask(servables[place], number)
            together.append(int(answer["rows"][0]))
            expected = np.full((1, 2), np.float32(number) * np.float32(10.0**place))
            label = [b"even", b"odd"][number % 2]
            if not np.array_equal(answer["scores"], expected) or answer["labels"].tolist() != [
                label
            ]:
                wrong.append((place, number, answer))

    threads = [threading.Thread(target=client, args=(place % 4,)) for place in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []
    assert len(together) == 4 * calls
    assert max(together) > 4  # they did run together


@pytest.mark.parametrize(("batches", "together"), [(None, True), (True, True), (False, False)])
def test_pair_is_batched_unless_it_is_forbidden(
    load: Load, batches: bool | None, together: bool
) -> None:
    servable = load("pair0", batches=batches, batching=ONE_THREAD)

    answers = at_once([partial(ask, servable, number, number + 1) for number in range(8)])

    for number, answer in enumerate(answers):
        assert answer["scores"][:, 0].tolist() == [number, number + 1]
    assert (max(answer["rows"].max() for answer in answers) > 2) == together


def test_other_models_are_batched_only_if_it_is_asked_for(load: Load) -> None:
    def of(servable: Servable) -> bool:
        return "serving_default" in servable._batched

    assert not of(load("tf1"))
    assert of(load("tf1", batches=True))


@pytest.mark.parametrize("batches", [None, True])
def test_one_that_cannot_be_read_harms_no_other(load: Load, batches: bool | None) -> None:
    servable = load("pair1", batches=batches, batching=ONE_THREAD)
    if batches:  # decode as a whole too, where the picture that is none is in the same batch

        def call(files: list[bytes]) -> Any:
            array = np.array(files, object)
            return servable.run("decode", {"image_bytes": array}, ["image"])["image"][:, 0].tolist()
    else:

        def call(files: list[bytes]) -> Any:
            return ask(servable, *map(int, files))["scores"][:, 0].tolist()

    bad = servable.run

    def broken() -> Any:
        return bad("decode", {"image_bytes": np.array([b"none"], object)}, ["image"])

    answers = at_once([*(partial(call, [b"%d" % number]) for number in range(12)), broken])

    factor = 1 if batches else 10
    assert answers[:12] == [[factor * number] for number in range(12)]
    assert answers[12].code is Code.INVALID_ARGUMENT
    assert "none" in answers[12].message


def test_request_of_another_shape_fails_alone(load: Load) -> None:
    servable = load("pair2", batches=True, batching=ONE_THREAD)

    def call(width: int) -> Any:
        image = np.ones((1, width), np.int32)
        return servable.run("predict_image", {"image": image}, ["scores"])["scores"].tolist()

    answers = at_once([partial(call, width) for width in (2, 2, 3, 2, 1, 2)])

    assert answers == [[[100.0] * width] for width in (2, 2, 3, 2, 1, 2)]


@pytest.mark.parametrize("rows", [0, 1, 31, 33, 100, 2000])
def test_requests_of_any_size_are_answered(load: Load, rows: int) -> None:
    servable = load("pair0")

    answer = ask(servable, *range(rows))

    assert answer["scores"].shape == (rows, 2)
    assert answer["scores"][:, 0].tolist() == list(range(rows))
    assert rows == 2000 or answer["rows"].max(initial=0) <= 32  # beyond 1,024 by itself


def test_requests_beyond_the_queue_are_refused_at_once(load: Load) -> None:
    tight = BatchOptions(
        max_batch_size=1, max_execution_batch_size=1, max_enqueued_batches=1, num_batch_threads=1,
        splits_large=False,
    )  # fmt: skip
    servable = load("pair0", batching=tight)

    answers = at_once([partial(ask, servable, 7)] * 64)

    refused = [one for one in answers if isinstance(one, ModelError)]
    assert {one.code for one in refused} <= {Code.UNAVAILABLE}
    assert all("queue" in one.message for one in refused)
    assert all(one["scores"][0, 0] == 7 for one in answers if not isinstance(one, ModelError))
    assert len(refused) < 64


def test_batches_are_filled_up_to_allowed_sizes(load: Load) -> None:
    options = BatchOptions(max_batch_size=8, max_execution_batch_size=8,
                           allowed_batch_sizes=(4, 8))  # fmt: skip

    assert ask(load("pair0", batching=options), 5)["rows"].tolist() == [4]


def test_file_of_a_version_wins_over_the_servers(folder: Path, load: Load) -> None:
    file = folder / "pair3" / "batching_params.pbtxt"
    file.write_text("max_batch_size { value: 16 } allowed_batch_sizes: 16")

    assert ask(load("pair3", has_model_batching=True), 5)["rows"].tolist() == [16]
    assert ask(load("pair3"), 5)["rows"].tolist() == [1]
    file.write_text("max_batch_size { value: 16 } allowed_batch_sizes: 8")
    with pytest.raises(LoadError, match="allowed_batch_sizes end with 8"):
        load("pair3", has_model_batching=True)
    file.unlink()


@pytest.mark.parametrize("batches", [False, True])
def test_tables_and_variables_give_what_they_hold(load: Load, batches: bool) -> None:
    servable = load("table", batches=batches)

    words = np.array([b"elm", b"oak", b"fir"], object)
    answer = servable.run("serving_default", {"word": words}, ["place"])

    assert answer["place"].tolist() == [102, 100, 99]


@pytest.mark.parametrize("batches", [False, True])
def test_flat_graphs_of_references_work(load: Load, batches: bool) -> None:
    servable = load("tf1", batches=batches)

    x = np.array([[1, 0, 0], [0, 0, 1]], np.float32)
    assert servable.run("serving_default", {"x": x}, ["y"])["y"].tolist() == [[1], [3]]


@pytest.mark.parametrize("batches", [False, True])
def test_state_that_requests_change_is_kept(load: Load, batches: bool) -> None:
    servable = load("stateful", batches=batches)

    def call(signature: str) -> int:
        x = np.array([0], np.int32)
        return int(servable.run(signature, {"x": x}, ["y"])["y"][0])

    assert [call("serving_default") for _ in range(3)] == [1, 2, 3]
    assert call("read") == 3


def test_variables_that_were_folded_are_freed(load: Load) -> None:
    servable = load("pair0")

    with pytest.raises(ModelError):  # nothing of the old way is left to read
        servable.run_tensors({}, ["Variable/Read/ReadVariableOp:0"], [])
    assert ask(servable, 3)["scores"].tolist() == [[3, 3]]


def test_closing_ends_the_threads_of_the_queues(folder: Path) -> None:
    def count() -> int:
        status = Path("/proc/self/status").read_text()
        return int(next(line for line in status.splitlines() if "Threads" in line).split()[1])

    def once() -> None:
        options = LoadOptions(batching=BatchOptions(num_batch_threads=20))
        servable = load_servable("pair0", 1, folder / "pair0", options)
        ask(servable, 1)
        servable.close()

    once()
    before = count()
    for _ in range(3):
        once()
    assert count() < before + 20
