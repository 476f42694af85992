"""The loader on real SavedModels, polled by hand."""

import dataclasses
import gc
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.config import LoadOptions, ModelConfig, ServerConfig, VersionPolicy
from serving.errors import FailedPrecondition, InvalidArgument, ModelError, NotFound
from serving.loader import Loader
from serving.predict import predict
from serving.registry import ModelRef, Registry, State
from serving.warmup import REQUESTS_FILE
from tests.serving.example_models import build_examples

PutVersion = Callable[[str, Path], None]
FLOWERS = ModelRef(name="flowers")


class Scene:
    """A model on disk, a registry and a loader; each `poll` looks once."""

    def __init__(self, base_path: Path, **settings: Any) -> None:
        self.base_path = base_path
        self.registry = Registry()
        config = ServerConfig(
            models=(ModelConfig(name="flowers", base_path=base_path),), poll_s=0, **settings
        )
        self.loader = Loader(config, self.registry)

    def poll(self) -> dict[int, State]:
        self.loader.poll()
        if not self.registry.has_versions("flowers"):
            return {}
        return {status.version: status.state for status in self.registry.statuses(FLOWERS)}

    def labels(self) -> list[str]:
        image = np.array([b"picture"], dtype=object)
        with self.registry.acquire(FLOWERS) as servable:
            answer = predict(servable, "", {"image_bytes": image})
        return [label.decode() for label in answer.outputs["labels"][0]]


@pytest.fixture
def scene(tmp_path: Path, put_version: PutVersion) -> Scene:
    put_version("cats", tmp_path / "flowers" / "1")
    return Scene(tmp_path / "flowers")


def write_warmup(version: Path, *requests: tuple[str, list[bytes]]) -> None:
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    from serving.tensor_proto import array_to_proto

    file = version / REQUESTS_FILE
    file.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(file)) as writer:
        for input_name, values in requests:
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.inputs[input_name].CopyFrom(array_to_proto(np.array(values, dtype=object)))
            writer.write(log.SerializeToString())


def test_new_version_replaces_the_old_one(scene: Scene, put_version: PutVersion) -> None:
    assert scene.poll() == {1: State.AVAILABLE}
    assert scene.labels() == ["lynx", "puma"]

    put_version("birds", scene.base_path / "2")

    assert scene.poll() == {2: State.AVAILABLE, 1: State.END}
    assert scene.labels() == ["owl", "wren", "kite"]


def test_deleting_the_newest_version_rolls_back(scene: Scene, put_version: PutVersion) -> None:
    put_version("birds", scene.base_path / "2")
    scene.poll()

    shutil.rmtree(scene.base_path / "2")

    assert scene.poll() == {2: State.END, 1: State.AVAILABLE}
    assert scene.labels() == ["lynx", "puma"]


def test_version_in_use_stays_whole_until_its_request_ends(
    scene: Scene, put_version: PutVersion
) -> None:
    scene.poll()
    image = {"image_bytes": np.array([b"picture"], dtype=object)}

    with scene.registry.acquire(FLOWERS) as held:
        put_version("birds", scene.base_path / "2")
        assert scene.poll() == {2: State.AVAILABLE, 1: State.UNLOADING}
        assert len(predict(held, "", image).outputs["labels"][0]) == 2
        assert scene.poll() == {2: State.AVAILABLE, 1: State.UNLOADING}

    assert scene.poll() == {2: State.AVAILABLE, 1: State.END}
    with pytest.raises(ModelError, match="closed"):
        predict(held, "", image)


def count_graphs() -> int:
    """Count the graphs that are in memory, whether anybody can reach them or not."""
    import tensorflow as tf

    return sum(isinstance(one, tf.Graph) for one in gc.get_objects())


def test_graphs_of_retired_and_failed_versions_are_freed(
    scene: Scene, put_version: PutVersion
) -> None:
    scene.poll()
    gc.collect()  # what other tests have left
    before = count_graphs()

    for version in range(2, 6):
        put_version("birds", scene.base_path / str(version))
        if version % 2:
            shutil.rmtree(scene.base_path / str(version) / "variables")
        scene.poll()

    assert scene.poll() == {
        5: State.END, 4: State.AVAILABLE, 3: State.END, 2: State.END, 1: State.END
    }  # fmt: skip
    assert count_graphs() == before


def test_damaged_version_ends_with_its_error_and_the_old_one_serves(scene: Scene) -> None:
    scene.poll()
    (scene.base_path / "2").mkdir()
    (scene.base_path / "2" / "saved_model.pb").write_bytes(b"damaged")

    assert scene.poll() == {2: State.END, 1: State.AVAILABLE}
    newest, _ = scene.registry.statuses(FLOWERS)
    assert newest.error is not None
    assert "cannot load" in newest.error.message
    assert scene.labels() == ["lynx", "puma"]


def test_damaged_version_is_loaded_once_its_files_are_replaced(
    scene: Scene, saved_models: Path
) -> None:
    (scene.base_path / "2").mkdir()
    (scene.base_path / "2" / "saved_model.pb").write_bytes(b"damaged")
    assert scene.poll() == {2: State.END, 1: State.AVAILABLE}

    shutil.copytree(saved_models / "birds", scene.base_path / "2", dirs_exist_ok=True)

    assert scene.poll() == {2: State.AVAILABLE, 1: State.END}


def test_version_without_its_variables_is_not_served(scene: Scene, put_version: PutVersion) -> None:
    scene.poll()
    put_version("birds", scene.base_path / "2")
    shutil.rmtree(scene.base_path / "2" / "variables")

    assert scene.poll() == {2: State.END, 1: State.AVAILABLE}


def test_version_that_is_still_being_written_waits_for_the_next_poll(
    tmp_path: Path, put_version: PutVersion
) -> None:
    put_version("cats", tmp_path / "1")
    scene = Scene(tmp_path)
    scene.loader = Loader(
        ServerConfig(models=(ModelConfig(name="flowers", base_path=tmp_path),), poll_s=3600),
        scene.registry,
    )

    assert scene.poll() == {}
    (tmp_path / "1" / "assets" / "late.txt").write_text("more")
    assert scene.poll() == {}
    assert scene.poll() == {1: State.AVAILABLE}


def test_version_that_fails_its_warm_up_does_not_replace_the_old_one(
    scene: Scene, put_version: PutVersion
) -> None:
    scene.poll()
    put_version("birds", scene.base_path / "2")
    write_warmup(scene.base_path / "2", ("image_bytes", [b"ok"]), ("picture", [b"wrong name"]))

    assert scene.poll() == {2: State.END, 1: State.AVAILABLE}
    newest, _ = scene.registry.statuses(FLOWERS)
    assert newest.error is not None
    assert "warm-up request 1" in newest.error.message
    assert "image_bytes not found in request" in newest.error.message


def write_records(version: Path, *records: Any) -> None:
    """Write a model of examples as a version, with warm-up requests."""
    import tensorflow as tf

    build_examples(version)
    (version / REQUESTS_FILE).parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(version / REQUESTS_FILE)) as writer:
        for record in records:
            writer.write(record.SerializeToString())


def inference(kind: str, signature: str, n_examples: int = 1, **tasks: str) -> Any:
    """A recorded request of classification, regression or both."""
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    request = getattr(log, kind).request
    if not tasks:
        request.model_spec.signature_name = signature
    for method, name in tasks.items():
        task = request.tasks.add(method_name=f"tensorflow/serving/{method}")
        task.model_spec.name, task.model_spec.signature_name = "any", name
    for _ in range(n_examples):
        example = request.input.example_list.examples.add()
        example.features.feature["x"].float_list.value.append(0.5)
    return log


def session_run(feed: str, fetch: str) -> Any:
    from tensorflow_serving.apis import prediction_log_pb2

    from serving.tensor_proto import array_to_proto

    log = prediction_log_pb2.PredictionLog()
    request, example = log.session_run_log.request, inference("regress_log", "").regress_log.request
    serialised = example.input.example_list.examples[0].SerializeToString()
    request.fetch.append(fetch)
    named = request.feed.add(name=feed)
    named.tensor.CopyFrom(array_to_proto(np.array([serialised], dtype=object)))
    return log


def tensor_names(version: Path) -> tuple[str, str]:
    """Return the tensors behind input and output of the model's default signature."""
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes())
    signature = saved.meta_graphs[0].signature_def["serving_default"]
    return signature.inputs["inputs"].name, signature.outputs["outputs"].name


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        (lambda feed, fetch: inference("classify_log", "classify"),
         lambda feed, fetch: inference("classify_log", "none"), "No signature was found"),
        (lambda feed, fetch: inference("regress_log", "regress"),
         lambda feed, fetch: inference("regress_log", "regress", 0), "Input is empty"),
        (lambda *_: inference("multi_inference_log", "", classify="classify", regress=""),
         lambda *_: inference("multi_inference_log", "", classify=""), "Expected classification"),
        (session_run, lambda feed, fetch: session_run(feed, "nothing:0"), "nothing:0"),
    ],
    ids=["classify", "regress", "multi_inference", "session_run"],
)  # fmt: skip
def test_every_kind_of_recorded_request_is_run(
    good: Any, bad: Any, message: str, tmp_path: Path
) -> None:
    build_examples(tmp_path / "aside")
    names = tensor_names(tmp_path / "aside")
    write_records(tmp_path / "1", good(*names))
    write_records(tmp_path / "2", good(*names), bad(*names))
    scene = Scene(tmp_path)

    states = scene.poll()

    assert states == {2: State.END, 1: State.AVAILABLE}
    newest, _ = scene.registry.statuses(FLOWERS)
    assert newest.error is not None
    assert "warm-up request 1" in newest.error.message
    assert message in newest.error.message


def test_recorded_request_without_an_answer_is_refused(tmp_path: Path) -> None:
    from tensorflow_serving.apis import prediction_log_pb2

    write_records(tmp_path / "1", prediction_log_pb2.PredictionLog())
    scene = Scene(tmp_path)

    assert scene.poll() == {1: State.END}
    error = scene.registry.statuses(FLOWERS)[0].error
    assert error is not None
    assert "a record of type None cannot be run" in error.message


def test_warm_up_can_be_switched_off(tmp_path: Path, put_version: PutVersion) -> None:
    put_version("cats", tmp_path / "1")
    write_warmup(tmp_path / "1", ("picture", [b"wrong name"]))

    assert Scene(tmp_path, load=LoadOptions(warm_up=False)).poll() == {1: State.AVAILABLE}


def test_more_than_a_thousand_warm_up_requests_are_refused(
    tmp_path: Path, put_version: PutVersion
) -> None:
    put_version("cats", tmp_path / "1")
    write_warmup(tmp_path / "1", *[("image_bytes", [b"a"])] * 1001)
    scene = Scene(tmp_path)

    assert scene.poll() == {1: State.END}
    error = scene.registry.statuses(FLOWERS)[0].error
    assert error is not None
    assert "exceeds the maximum (1000)" in error.message


def test_base_path_that_goes_away_changes_nothing_and_an_emptied_one_withdraws_the_model(
    scene: Scene,
) -> None:
    scene.poll()
    scene.base_path.rename(scene.base_path.with_name("away"))
    assert scene.poll() == {1: State.AVAILABLE}

    scene.base_path.mkdir()
    assert scene.poll() == {1: State.END}
    with pytest.raises(NotFound, match=r"Servable not found for request: Latest\(flowers\)"):
        scene.labels()


def test_readiness_waits_for_every_model_that_is_configured(
    tmp_path: Path, put_version: PutVersion
) -> None:
    put_version("cats", tmp_path / "flowers" / "1")
    (tmp_path / "birds").mkdir()
    registry = Registry()
    loader = Loader(
        ServerConfig(
            models=tuple(ModelConfig(name=n, base_path=tmp_path / n) for n in ("flowers", "birds")),
            poll_s=0,
        ),
        registry,
    )

    loader.poll()
    assert not registry.is_ready()
    put_version("birds", tmp_path / "birds" / "1")
    loader.poll()
    assert registry.is_ready()


def test_readiness_waits_for_all_versions_and_labels_of_the_start(
    tmp_path: Path, put_version: PutVersion
) -> None:
    put_version("cats", tmp_path / "flowers" / "1")
    put_version("birds", tmp_path / "flowers" / "2")
    registry, seen = Registry(), []

    @contextmanager
    def look(path: Path) -> Iterator[None]:
        yield
        seen.append((path.name, registry.is_ready()))

    model = ModelConfig(
        name="flowers",
        base_path=tmp_path / "flowers",
        policy=VersionPolicy(n_latest=None),
        labels={"stable": 1},
    )
    loader = Loader(ServerConfig(models=(model,), poll_s=0), registry, on_load=look)

    loader.poll()

    assert seen == [("2", False), ("1", False)]
    assert registry.is_ready()
    assert registry.labels("flowers") == {"stable": 1}


def test_folder_of_models_that_goes_away_is_named_each_time_and_changes_nothing(
    tmp_path: Path, put_version: PutVersion, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "models").mkdir()
    registry = Registry()
    loader = Loader(ServerConfig(folder=tmp_path / "models", poll_s=0), registry)
    for _ in range(3):
        loader.poll()
    assert caplog.text.count("is empty: waiting for a model") == 1

    put_version("cats", tmp_path / "models" / "flowers" / "1")
    loader.poll()
    for times in (1, 2):
        (tmp_path / "models").rename(tmp_path / "away")
        for _ in range(3):
            loader.poll()
        assert caplog.text.count("cannot look through") == times
        assert registry.is_ready()
        (tmp_path / "away").rename(tmp_path / "models")
        loader.poll()
    put_version("birds", tmp_path / "models" / "flowers" / "2")
    loader.poll()
    assert registry.versions("flowers", State.AVAILABLE) == {2}


def test_model_that_is_found_later_does_not_end_readiness_while_it_cannot_be_loaded(
    tmp_path: Path, put_version: PutVersion
) -> None:
    put_version("cats", tmp_path / "flowers" / "1")
    registry = Registry()
    loader = Loader(ServerConfig(folder=tmp_path, poll_s=0), registry)
    loader.poll()

    (tmp_path / "birds" / "1").mkdir(parents=True)
    (tmp_path / "birds" / "1" / "saved_model.pb").write_bytes(b"damaged")
    loader.poll()

    assert registry.names == ("birds", "flowers")
    assert registry.is_ready()


class Fleet:
    """Several models by a file of their configuration, polled by hand."""

    def __init__(self, folder: Path, put_version: PutVersion) -> None:
        self.folder, self.file = folder, folder / "models.config"
        for name, kind, number in (
            ("flowers", "cats", 1), ("flowers", "birds", 2), ("numbers", "numbers", 1),
        ):  # fmt: skip
            put_version(kind, folder / name / str(number))
        self.registry = Registry()

    def write(self, **extras: str) -> None:
        configs = "".join(
            f'config {{ name: "{name}" base_path: "{self.folder / name}" '
            f'model_platform: "tensorflow" {extra} }}'
            for name, extra in extras.items()
        )
        self.file.write_text(f"model_config_list {{ {configs} }}")

    def start(self, **settings: Any) -> Loader:
        config = ServerConfig(models_file=self.file, poll_s=0, **settings)
        self.loader = Loader(config, self.registry)
        self.loader.poll()
        return self.loader

    def answering(self, name: str) -> set[int]:
        return set(self.registry.versions(name, State.AVAILABLE))

    def version(self, label: str) -> int:
        with self.registry.acquire(ModelRef(name="flowers", label=label)) as servable:
            return servable.version


BOTH = "model_version_policy { all {} }"


def labelled(**labels: int) -> str:
    return BOTH + "".join(
        f' version_labels {{ key: "{label}" value: {version} }}'
        for label, version in labels.items()
    )


@pytest.fixture
def fleet(tmp_path: Path, put_version: PutVersion) -> Fleet:
    return Fleet(tmp_path, put_version)


def test_versions_that_a_policy_wants_answer_side_by_side(fleet: Fleet) -> None:
    fleet.write(flowers=BOTH, numbers="")

    fleet.start()

    assert fleet.answering("flowers") == {1, 2}
    assert fleet.answering("numbers") == {1}
    assert fleet.registry.is_ready()


def test_labels_stand_for_versions_and_move_without_a_gap(
    fleet: Fleet, put_version: PutVersion
) -> None:
    fleet.write(flowers=labelled(stable=1, canary=2))
    loader = fleet.start(models_file_poll_s=1e-9)
    assert (fleet.version("stable"), fleet.version("canary")) == (1, 2)

    fleet.write(flowers=labelled(stable=2, canary=3))  # 3 is not there yet
    loader.poll()
    assert (fleet.version("stable"), fleet.version("canary")) == (2, 2)

    put_version("cats", fleet.folder / "flowers" / "3")
    loader.poll()
    assert fleet.version("canary") == 3
    fleet.write(flowers=labelled(stable=2))
    loader.poll()
    with pytest.raises(InvalidArgument, match="Unrecognized servable version label: canary"):
        fleet.version("canary")


@pytest.mark.parametrize("ahead", [False, True])
def test_new_label_waits_for_its_version_unless_it_may_run_ahead(ahead: bool, fleet: Fleet) -> None:
    fleet.write(flowers=labelled(next=3))
    fleet.start(allow_labels_of_absent_versions=ahead)

    expected = NotFound if ahead else InvalidArgument
    with pytest.raises(expected, match=r"Specific\(flowers, 3\)" if ahead else "label: next"):
        fleet.version("next")


@pytest.mark.parametrize("breakage", ["half", "empty", "noise", "gone"])
def test_file_that_breaks_while_running_changes_nothing_and_is_named(
    breakage: str, fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    fleet.write(flowers="", numbers="")
    loader = fleet.start(models_file_poll_s=1e-9)
    good = fleet.file.read_bytes()
    broken = {"half": good[: len(good) // 2], "empty": b"", "noise": b"\xff\xd8\0" * 99}

    fleet.file.unlink()
    if breakage != "gone":
        fleet.file.write_bytes(broken[breakage])
    for _ in range(3):
        loader.poll()

    assert fleet.answering("flowers") == {2}
    assert fleet.answering("numbers") == {1}
    assert caplog.text.count("what was served before is served on") == 1
    assert caplog.text.count(str(fleet.file)) == 1

    fleet.write(flowers="model_version_policy { specific { versions: 1 } }")
    loader.poll()
    assert fleet.answering("flowers") == {1}
    assert fleet.answering("numbers") == set()
    assert fleet.registry.names == ("flowers",)
    assert fleet.registry.is_ready()


def test_file_is_read_again_where_folders_are_looked_at_once(
    fleet: Fleet, put_version: PutVersion
) -> None:
    fleet.write(flowers="")
    loader = fleet.start(models_file_poll_s=0.05)
    thread = threading.Thread(target=loader.run, daemon=True)
    thread.start()
    time.sleep(0.5)  # its first look is over
    put_version("cats", fleet.folder / "flowers" / "3")
    time.sleep(0.5)
    assert fleet.answering("flowers") == {2}  # the file is as it was

    fleet.write(flowers="", numbers="")
    deadline_s = time.monotonic() + 60
    while fleet.answering("numbers") != {1}:
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
    loader.stop()
    thread.join(10)
    assert not thread.is_alive()


def test_model_that_comes_back_answers_again(fleet: Fleet) -> None:
    fleet.write(flowers="", numbers="")
    loader = fleet.start(models_file_poll_s=1e-9)
    for extras in ({"flowers": ""}, {"flowers": "", "numbers": ""}):
        fleet.write(**extras)
        loader.poll()

    assert fleet.answering("numbers") == {1}
    assert fleet.registry.names == ("flowers", "numbers")


def test_model_that_moves_is_loaded_from_its_new_place(
    fleet: Fleet, put_version: PutVersion
) -> None:
    fleet.write(flowers="")
    loader = fleet.start()
    put_version("cats", fleet.folder / "elsewhere" / "2")

    loader.reload((ModelConfig(name="flowers", base_path=fleet.folder / "elsewhere"),))

    image = {"image_bytes": np.array([b"picture"], dtype=object)}
    with fleet.registry.acquire(FLOWERS) as servable:
        labels = predict(servable, "", image).outputs["labels"][0]
    assert list(labels) == [b"lynx", b"puma"]


def test_reload_returns_when_new_models_answer_and_says_why_where_they_do_not(
    fleet: Fleet,
) -> None:
    fleet.write(flowers="")
    loader = fleet.start()
    flowers, numbers, none = (
        ModelConfig(name=name, base_path=fleet.folder / name)
        for name in ("flowers", "numbers", "none")
    )

    loader.reload((flowers, numbers))
    assert fleet.answering("numbers") == {1}
    with pytest.raises(ModelError, match="Could not find base path .*none"):
        loader.reload((flowers, none))
    assert fleet.answering("flowers") == {2}
    assert fleet.answering("numbers") == set()
    (fleet.folder / "none" / "1").mkdir(parents=True)
    (fleet.folder / "none" / "1" / "saved_model.pb").write_bytes(b"damaged")
    loader.reload((flowers,))
    with pytest.raises(ModelError, match="1 servable.s. did not become available.*cannot load"):
        loader.reload((flowers, none))
    with pytest.raises(FailedPrecondition, match="assign label stable to version 9"):
        loader.reload((dataclasses.replace(flowers, labels={"stable": 9}),))


def test_server_of_a_folder_is_not_reloaded(fleet: Fleet) -> None:
    loader = Loader(ServerConfig(folder=fleet.folder, poll_s=0), fleet.registry)

    with pytest.raises(FailedPrecondition, match="serves the folder"):
        loader.reload(())
