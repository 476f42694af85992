"""What goes wrong on the disk ends no service: damaged versions, and folders that go away."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .under_load import Load, asked_without_pause, wait_for

POLL_S = 0.2  # of the shared server
GRAPH, WEIGHTS, INDEX = (
    "saved_model.pb", "variables/variables.data-00000-of-00001", "variables/variables.index"
)  # fmt: skip


def cut(name: str, share: float) -> Callable[[Path], None]:
    def damage(version: Path) -> None:
        data = (version / name).read_bytes()
        (version / name).write_bytes(data[: int(len(data) * share)])

    return damage


def flip_a_bit(version: Path) -> None:
    data = bytearray((version / WEIGHTS).read_bytes())
    data[len(data) // 2] ^= 1
    (version / WEIGHTS).write_bytes(data)


def empty_all(version: Path) -> None:
    for name in (GRAPH, WEIGHTS, INDEX):
        (version / name).write_bytes(b"")


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "half_graph": (cut(GRAPH, 0.5), "Wire format was corrupt"),
    "no_weights": (lambda version: (version / WEIGHTS).unlink(), "data-00000-of-00001; No such"),
    "half_weights": (cut(WEIGHTS, 0.5), "Read less bytes than requested"),
    "flipped_bit": (flip_a_bit, "Checksum does not match"),
    "empty_files": (empty_all, "MetaGraphDef associated with tags 'serve' could not be found"),
}


def states_of(server: Any, model: str) -> dict[int, dict[str, Any]]:
    status, answer = server.call(f"/v1/models/{model}")
    assert status == 200, answer
    return {int(one["version"]): one for one in answer["model_version_status"]}


def wait_for_state(server: Any, model: str, version: int, state: str) -> dict[str, Any]:
    wait_for(lambda: states_of(server, model).get(version, {}).get("state") == state)
    return states_of(server, model)[version]


def add_model(server: Any, models: Path, name: str, put_version: Any) -> Path:
    put_version("cats", models / name / "1")
    wait_for(lambda: server.call(f"/v1/models/{name}")[0] == 200)
    wait_for_state(server, name, 1, "AVAILABLE")
    return models / name


@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_version_is_named_once_and_served_when_it_is_mended(
    kind: str, server: Any, models: Path, saved_models: Path, put_version: Any, tmp_path: Path
) -> None:
    damage, reason = DAMAGES[kind]
    name = f"damaged_{kind}"
    folder = add_model(server, models, name, put_version)
    shutil.copytree(saved_models / "birds", tmp_path / "2")
    damage(tmp_path / "2")

    with asked_without_pause(server, name, clients=2) as load:
        (tmp_path / "2").rename(folder / "2")
        failed = wait_for_state(server, name, 2, "END")["status"]
        time.sleep(3 * POLL_S)
        load.wait_for_more()
        assert set(load.kinds) == {"cats"}
        assert failed["error_code"] != "OK"
        assert reason in failed["error_message"], failed
        lines = [one for one in server.log.read_text().splitlines() if f"{name} version 2" in one]
        assert [("cannot be served" in one, "loading" in one) for one in lines] == [
            (False, True), (True, False)
        ]  # fmt: skip

        shutil.copytree(saved_models / "birds", folder / "2", dirs_exist_ok=True)
        wait_for_state(server, name, 2, "AVAILABLE")
        load.wait_for_more()
    assert load.errors == []
    assert set(load.kinds) == {"cats", "birds"}


def test_folder_that_holds_no_model_is_no_version(
    server: Any, models: Path, put_version: Any
) -> None:
    folder = add_model(server, models, "beside", put_version)
    for number, name in enumerate(("notes.txt", "saved_model.pb/inner"), start=2):
        (folder / str(number) / name).parent.mkdir(parents=True)
        (folder / str(number) / name).write_bytes(b"garbage")
    time.sleep(3 * POLL_S)

    assert set(states_of(server, "beside")) == {1}
    assert "beside version 2" not in server.log.read_text()


def wait_for_lines(server: Any, text: str, count: int) -> None:
    wait_for(lambda: server.log.read_text().count(text) == count)


def go_on(load: Load) -> None:
    time.sleep(3 * POLL_S)
    load.wait_for_more()
    assert load.errors == []


@pytest.mark.parametrize("instead", ["nothing", "a file"])
def test_base_path_that_goes_away_is_named_and_followed_again_when_it_is_back(
    instead: str, server: Any, models: Path, put_version: Any
) -> None:
    name = f"away_{instead.replace(' ', '_')}"
    folder = add_model(server, models, name, put_version)
    missing = f"Could not find base path {folder}"

    with asked_without_pause(server, name, clients=2) as load:
        for times in (1, 2):
            folder.rename(folder.with_name("aside"))
            if instead == "a file":
                folder.write_text("no folder")
            wait_for_lines(server, missing, times)
            go_on(load)
            assert server.log.read_text().count(missing) == times
            folder.unlink(missing_ok=True)
            folder.with_name("aside").rename(folder)
            wait_for_lines(server, f"{folder} is there", times)
        put_version("birds", folder / "2")
        wait_for_state(server, name, 2, "AVAILABLE")
        load.wait_for_more()
    assert load.errors == []


def test_emptied_folder_withdraws_its_model_and_no_other(
    server: Any, models: Path, put_version: Any
) -> None:
    folder = add_model(server, models, "emptied", put_version)

    shutil.rmtree(folder / "1")
    wait_for_state(server, "emptied", 1, "END")

    picture = {"instances": [{"b64": "AAAA"}]}
    assert server.call("/v1/models/emptied:predict", picture)[0] == 404
    assert server.call("/v1/models/flowers:predict", picture)[0] == 200
    assert server.call("/readyz")[0] == 200
    put_version("birds", folder / "1")
    wait_for_state(server, "emptied", 1, "AVAILABLE")
