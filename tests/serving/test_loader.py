"""The loader on real SavedModels, polled by hand."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.config import LoadOptions, ModelConfig, ServerConfig
from serving.errors import ModelError, NotFound
from serving.loader import Loader
from serving.predict import predict
from serving.registry import ModelRef, Registry, State
from serving.warmup import REQUESTS_FILE

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
