import hashlib
import time
from pathlib import Path

import pytest

from tl.errors import ConfigError, WeightsError
from tl.zoo import weights as weights_module
from tl.zoo.backbones import find_backbone
from tl.zoo.weights import (
    backbones_at_hand,
    choose_backbone,
    local_weights,
    resolve_weights,
    weights_at_hand,
)

from .conftest import ServeWeights, hdf5, published_at

CONTENT = hdf5(9)
SMALLEST = find_backbone("mobilenet_0.25")
NO_TOP = "mobilenet_2_5_224_tf_no_top.h5"
WITH_TOP = "mobilenet_2_5_224_tf.h5"


def in_cache(keras_home: Path, name: str, content: bytes = CONTENT) -> Path:
    path = keras_home / "models" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_imagenet_weights_in_keras_cache_are_found(tmp_path: Path) -> None:
    path = in_cache(tmp_path, NO_TOP)

    found = resolve_weights(SMALLEST, "imagenet", environ={"KERAS_HOME": str(tmp_path)})

    assert (found.kind, found.path) == ("imagenet", path)
    assert found.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert str(path) in found.source


def test_file_with_top_serves_as_well(tmp_path: Path) -> None:
    path = in_cache(tmp_path, WITH_TOP)

    found = resolve_weights(SMALLEST, "imagenet", environ={"KERAS_HOME": str(tmp_path)})

    assert found.path == path


def test_weights_folder_comes_before_keras_cache(tmp_path: Path) -> None:
    in_cache(tmp_path / "keras", NO_TOP)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / WITH_TOP).write_bytes(CONTENT)
    environ = {"KERAS_HOME": str(tmp_path / "keras"), "TL_WEIGHTS_DIR": str(mine)}

    assert resolve_weights(SMALLEST, "imagenet", environ=environ).path == mine / WITH_TOP
    assert weights_at_hand(SMALLEST, environ=environ) == mine / WITH_TOP


def test_weights_folder_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    environ = {"TL_WEIGHTS_DIR": str(tmp_path / "absent"), "KERAS_HOME": str(tmp_path)}

    with pytest.raises(ConfigError, match="absent is not a folder"):
        resolve_weights(SMALLEST, "imagenet", environ=environ)


def test_absent_weights_are_downloaded_into_keras_cache(
    serve: ServeWeights, tmp_path: Path
) -> None:
    backbone = published_at(SMALLEST, serve(CONTENT))

    found = resolve_weights(backbone, "auto", environ={"KERAS_HOME": str(tmp_path)})

    assert found.path == tmp_path / "models" / NO_TOP
    assert "downloaded" in found.source


def test_a_dry_run_asks_the_server_and_downloads_nothing(
    serve: ServeWeights, tmp_path: Path
) -> None:
    environ = {"KERAS_HOME": str(tmp_path)}
    url = serve(CONTENT)

    found = resolve_weights(published_at(SMALLEST, url), "auto", fetch=False, environ=environ)

    assert (found.kind, found.path) == ("imagenet", None)
    assert found.source == f"ImageNet weights to be downloaded from {url}"
    with pytest.raises(WeightsError, match="there is no download.*404"):
        resolve_weights(
            published_at(SMALLEST, serve(b"", status=404)), "auto", fetch=False, environ=environ
        )
    assert list(tmp_path.iterdir()) == []


def test_offline_error_names_the_file_its_place_and_the_ways_out(
    closed_url: str, tmp_path: Path
) -> None:
    backbone = published_at(SMALLEST, closed_url)
    started = time.monotonic()

    with pytest.raises(WeightsError) as caught:
        resolve_weights(backbone, "imagenet", environ={"KERAS_HOME": str(tmp_path)})

    assert time.monotonic() - started < 5
    for word in (NO_TOP, WITH_TOP, str(tmp_path / "models"), "TL_WEIGHTS_DIR", "--weights FILE"):
        assert word in str(caught.value)


def test_offline_takes_weights_trained_at_another_size_and_says_so(
    closed_url: str, tmp_path: Path
) -> None:
    path = in_cache(tmp_path, NO_TOP)
    backbone = published_at(SMALLEST, closed_url)
    environ = {"KERAS_HOME": str(tmp_path)}

    exact = resolve_weights(backbone, "imagenet", image_size=(192, 100), environ=environ)
    other = resolve_weights(backbone, "imagenet", image_size=(128, 128), environ=environ)

    assert "another size" not in exact.source
    assert other.path == path
    assert "another size: no http" not in other.source
    assert "trained on another size: no mobilenet_2_5_128_tf_no_top.h5" in other.source
    assert weights_at_hand(backbone, image_size=(128, 128), environ=environ) == path


def test_file_altered_in_the_cache_is_refused(tmp_path: Path) -> None:
    name = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    in_cache(tmp_path, name)

    with pytest.raises(WeightsError, match="not the file that Keras publishes"):
        resolve_weights(find_backbone("vgg16"), "auto", environ={"KERAS_HOME": str(tmp_path)})


def test_damaged_file_without_a_digest_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = in_cache(tmp_path, "mobilenet_2_5_128_tf.h5", hdf5(900)[:-100])
    environ = {"KERAS_HOME": str(tmp_path)}

    with pytest.raises(WeightsError, match="is cut off") as caught:
        resolve_weights(SMALLEST, "auto", image_size=(128, 128), environ=environ)

    command = f"`tl weights fetch mobilenet_0.25 --to {path.parent} --image-size 128 --top`"
    assert command in str(caught.value)


def test_none_means_random_weights() -> None:
    found = resolve_weights(SMALLEST, "none", environ={})

    assert (found.kind, found.path, found.sha256) == ("none", None, None)


def test_a_file_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "mine.h5"
    path.write_bytes(CONTENT)

    found = resolve_weights(SMALLEST, str(path), environ={})

    assert (found.kind, found.path) == ("file", path)


def test_mistyped_word_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'imagenet'"):
        resolve_weights(SMALLEST, "imagnet", environ={})


def test_shipped_weights_belong_to_tl_small_only() -> None:
    with pytest.raises(ConfigError, match="mobilenet_0.25"):
        resolve_weights(SMALLEST, "tl", environ={})


def test_auto_is_the_shipped_file_for_tl_small(shipped: Path) -> None:
    found = resolve_weights(find_backbone("tl_small"), "auto", environ={})

    assert (found.kind, found.path) == ("tl", shipped)


def test_package_without_shipped_weights_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights_module, "_PRETRAINED_FOLDER", tmp_path)

    with pytest.raises(WeightsError, match="without tl_small.npz"):
        resolve_weights(find_backbone("tl_small"), "tl", environ={})


def test_automatic_choice_is_mobilenet_v2_where_its_weights_are(tmp_path: Path) -> None:
    in_cache(tmp_path, "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5")

    chosen = choose_backbone("auto", "auto", environ={"KERAS_HOME": str(tmp_path)})

    assert chosen.backbone.name == "mobilenet_v2"
    assert chosen.weights.kind == "imagenet"


def test_automatic_choice_falls_back_to_the_shipped_backbone_and_says_why(
    offline_mobilenet_v2: None, shipped: Path, tmp_path: Path
) -> None:
    chosen = choose_backbone("auto", "auto", environ={"KERAS_HOME": str(tmp_path)})

    assert chosen.backbone.name == "tl_small"
    assert chosen.weights.path == shipped
    assert chosen.reason is not None
    assert chosen.reason.startswith("using tl_small, the shipped backbone, because mobilenet_v2")


def test_automatic_choice_keeps_to_imagenet_if_told_so(
    offline_mobilenet_v2: None, shipped: Path, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match="mobilenet_v2 has no ImageNet weights here"):
        choose_backbone("auto", "imagenet", environ={"KERAS_HOME": str(tmp_path)})


def test_named_backbone_is_never_swapped(
    offline_mobilenet_v2: None, shipped: Path, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError):
        choose_backbone("mobilenet_v2", "auto", environ={"KERAS_HOME": str(tmp_path)})
    named = choose_backbone("mobilenet_v2", "none", environ={})
    assert (named.backbone.name, named.reason) == ("mobilenet_v2", None)


def test_automatic_choice_cannot_guess_whose_weights_a_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "mine.h5"
    path.write_bytes(CONTENT)

    with pytest.raises(ConfigError, match="is a file.*Name the backbone"):
        choose_backbone("auto", str(path), environ={})


def test_automatic_choice_cannot_guess_whose_weights_a_run_has(tmp_path: Path) -> None:
    (tmp_path / "classifier.weights.h5").write_bytes(CONTENT)

    with pytest.raises(ConfigError, match="is a folder.*Name the backbone"):
        choose_backbone("auto", str(tmp_path), environ={})


def test_folder_without_weights_is_called_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a folder without a run's weights"):
        resolve_weights(SMALLEST, str(tmp_path), environ={})


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "pretrained"
    folder.mkdir()
    monkeypatch.setattr(weights_module, "_PRETRAINED_FOLDER", folder)
    path = folder / "tl_small.npz"
    path.write_bytes(b"shipped")
    return path


@pytest.fixture
def offline_mobilenet_v2(closed_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from tl.zoo.backbones import BACKBONES

    moved = published_at(BACKBONES["mobilenet_v2"], closed_url)
    monkeypatch.setitem(BACKBONES, "mobilenet_v2", moved)


def test_backbones_at_hand_are_those_with_weights_that_take_the_size(tmp_path: Path) -> None:
    environ = {"KERAS_HOME": str(tmp_path)}
    assert [row.name for row in backbones_at_hand(environ=environ)] == ["tl_small"]
    in_cache(tmp_path, "mobilenet_2_5_224_tf_no_top.h5")
    in_cache(tmp_path, "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5")

    found = [row.name for row in backbones_at_hand(environ=environ)]
    small = [row.name for row in backbones_at_hand(image_size=(64, 64), environ=environ)]

    assert found == ["tl_small", "mobilenet_0.25", "inception_v3"]
    assert small == ["tl_small", "mobilenet_0.25"]


@pytest.mark.parametrize("choice", ["imagenet", "tl", "auto"])
def test_a_classic_has_no_pretrained_weights_and_the_message_says_what_to_do(choice: str) -> None:
    with pytest.raises(ConfigError, match="resnet18 has no pretrained weights") as caught:
        resolve_weights(find_backbone("resnet18"), choice, environ={})

    message = str(caught.value)
    assert all(way in message for way in ("tl pretrain", "--weights none", "--weights FILE"))
    assert caught.value.exit_code == 2


def test_a_classic_is_at_hand_only_where_its_weights_are(tmp_path: Path) -> None:
    classic = find_backbone("resnet18")
    environ = {"KERAS_HOME": str(tmp_path), "TL_WEIGHTS_DIR": str(tmp_path)}
    assert weights_at_hand(classic, environ=environ) is None
    assert local_weights(classic, environ=environ) is None
    assert classic not in backbones_at_hand(environ=environ)

    (tmp_path / "resnet18.npz").write_bytes(CONTENT)

    assert weights_at_hand(classic, environ=environ) == tmp_path / "resnet18.npz"
    assert classic in backbones_at_hand(environ=environ)
    found = resolve_weights(classic, "auto", environ=environ)
    assert found == local_weights(classic, environ=environ)
    assert (found.kind, found.path) == ("file", tmp_path / "resnet18.npz")
    with pytest.raises(ConfigError, match="no pretrained weights"):
        resolve_weights(classic, "imagenet", environ=environ)
    # Another activation makes another network, whose weights are another file.
    assert weights_at_hand(find_backbone("resnet18:activation=elu"), environ=environ) is None


def test_local_weights_are_checked_and_never_downloaded(tmp_path: Path) -> None:
    environ = {"KERAS_HOME": str(tmp_path)}
    row = find_backbone("vgg16")

    assert local_weights(row, environ=environ) is None
    in_cache(tmp_path, "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5")
    with pytest.raises(WeightsError, match="not the file that Keras publishes"):
        local_weights(row, environ=environ)


def test_local_weights_are_those_that_a_run_resolves(shared_folder: Path) -> None:
    environ = {"TL_WEIGHTS_DIR": str(shared_folder / "weights")}
    for name in ("tl_small", "mobilenet_0.25", "mobilenet_v2_0.35"):
        row = find_backbone(name)
        assert local_weights(row, environ=environ) == resolve_weights(row, "auto", environ=environ)


def test_local_weights_of_another_size_say_so(shared_folder: Path) -> None:
    environ = {"TL_WEIGHTS_DIR": str(shared_folder / "weights")}

    found = local_weights(find_backbone("mobilenet_0.25"), image_size=(128, 128), environ=environ)

    assert found is not None
    assert "trained on another size: no mobilenet_2_5_128_tf_no_top.h5 here" in found.source
