"""`tl weights`: what is here, whether it is what was published, fetching, and layer by layer."""

import hashlib
import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tl.cli.weights import weights
from tl.errors import ConfigError, WeightsError
from tl.zoo.backbones import BACKBONES, find_backbone
from tl.zoo.build import build_backbone
from tl.zoo.inventory import NOT_STATED, licence_of
from tl.zoo.load import save_backbone_npz
from tl.zoo.weights import resolve_weights

from .conftest import ServeWeights, hdf5, published_at

CONTENT = hdf5(250)
NAME = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of weights, and no others."""
    made = tmp_path / "weights"
    made.mkdir()
    monkeypatch.setenv("TL_WEIGHTS_DIR", str(made))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return made


@pytest.fixture
def published(serve: ServeWeights, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras publishes a ResNet-50 of a thousand zeros."""
    row = published_at(find_backbone("resnet50"), serve(CONTENT))
    assert row.weights_files is not None
    no_top, top = row.weights_files
    digest = hashlib.md5(CONTENT).hexdigest()
    row = replace(row, weights_files=(replace(no_top, digest=digest), top))
    monkeypatch.setitem(BACKBONES, "resnet50", row)


def said(*words: str) -> list[str]:
    return CliRunner().invoke(weights, list(words), catch_exceptions=False).output.splitlines()


def refused(*words: str) -> Exception:
    with pytest.raises((ConfigError, WeightsError)) as caught:
        CliRunner().invoke(weights, list(words), catch_exceptions=False)
    return caught.value


def test_list_has_what_is_here_with_its_licence(folder: Path) -> None:
    (folder / NAME).write_bytes(CONTENT)
    (folder / "resnet18.npz").write_bytes(b"own")
    rows = json.loads("\n".join(said("list", "--json")))
    found = {row["backbone"]: row for row in rows}
    assert set(found) == {"tl_small", "resnet50", "resnet18"}
    assert found["resnet50"]["licence"] == "MIT (Kaiming He)"
    assert found["resnet50"]["state"] == "altered"
    assert found["resnet50"]["source"].endswith(f"/resnet/{NAME}")
    assert found["resnet50"]["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert found["resnet50"]["digest"] == "4d473c1dd8becc155b73f8504c6f6626"
    assert (found["resnet18"]["kind"], found["resnet18"]["licence"]) == ("own", "yours")
    lines = said("list")
    place = next(n for n, line in enumerate(lines) if line.endswith(str(folder / NAME)))
    assert hashlib.sha256(CONTENT).hexdigest() in lines[place + 1]
    assert lines[place + 1].endswith(found["resnet50"]["source"])
    assert lines[-1].startswith(f"3 files; searched: {folder} and ")
    assert any(str(folder / NAME) in line for line in lines)


def test_own_files_are_listed_by_their_options_and_with_the_licence_they_state(
    folder: Path,
) -> None:
    names = {
        "lenet5:activation=relu": {"data_licence": "CC0-1.0"},
        "lenet5": ["no", "provenance"],
        "resnet18": {"data_licence": "\x1b[2J"},
        "alexnet": {"data_licence": "x" * 5000},
        "mobilenet_0.25": {"data_licence": {"of": "nothing"}},
        "nobody_knows": {},
    }
    for name, facts in names.items():
        (folder / f"{name}.npz").write_bytes(b"own")
        (folder / f"{name}.json").write_text(json.dumps(facts))
    (folder / "zfnet.npz").write_bytes(b"own")
    (folder / "zfnet.json").write_text("[" * 100_000)

    rows = json.loads("\n".join(said("list", "--json")))

    assert {row["backbone"]: row["licence"] for row in rows if row["kind"] == "own"} == {
        "lenet5:activation=relu": "CC0-1.0",
        **dict.fromkeys(("lenet5", "resnet18", "alexnet", "mobilenet_0.25", "zfnet"), "yours"),
    }


@pytest.mark.usefixtures("published")
def test_path_gives_no_file_that_a_run_would_refuse(folder: Path) -> None:
    (folder / NAME).write_bytes(CONTENT + b"x")
    assert "is not the file that Keras publishes" in str(refused("path", "resnet50"))


def test_own_files_are_compared_with_what_was_written_beside_them(folder: Path) -> None:
    save_backbone_npz(build_backbone(find_backbone("lenet5")), folder / "lenet5.npz")
    whole = (folder / "lenet5.npz").read_bytes()
    (folder / "allconv.npz").write_bytes(pickle.dumps([1, 2]))
    (folder / "resnet18.npz").write_bytes(whole[: len(whole) // 2])

    def states() -> dict[str, str]:
        rows = json.loads("\n".join(said("list", "--json")))
        return {row["backbone"]: row["state"] for row in rows}

    assert states() == {
        "tl_small": "as recorded", "lenet5": "own", "allconv": "damaged", "resnet18": "damaged",
    }  # fmt: skip
    facts = {"sha256": hashlib.sha256(whole).hexdigest()}
    (folder / "lenet5.json").write_text(json.dumps(facts))
    assert states()["lenet5"] == "as recorded"
    assert said("path", "lenet5") == [str(folder / "lenet5.npz")]
    (folder / "lenet5.npz").write_bytes(whole + b"x")
    assert states()["lenet5"] == "altered"
    words = str(refused("verify", str(folder / "lenet5.npz")))
    assert "1 file altered or damaged" in words
    assert "copy it again from where it was made" in words
    for name in ("allconv", "resnet18"):
        with pytest.raises(WeightsError):
            CliRunner().invoke(weights, ["path", name], catch_exceptions=False)


def test_weights_of_a_classic_built_otherwise_are_refused(folder: Path) -> None:
    path, row = folder / "mine.npz", find_backbone("lenet5:activation=elu")
    save_backbone_npz(build_backbone(find_backbone("lenet5")), path)
    path.with_suffix(".json").write_text(json.dumps({"config": {"backbone": "lenet5"}}))
    (folder / "run").mkdir()
    (folder / "run" / "x.weights.h5").write_bytes(path.read_bytes())
    (folder / "run" / "run.json").write_text(json.dumps({"backbone": "lenet5", "config": {}}))

    for choice in (path, folder / "run"):
        found = resolve_weights(row, str(choice))
        with pytest.raises(
            WeightsError, match="weights of lenet5, and lenet5:activation=elu is an"
        ):
            build_backbone(row, weights=found)
        assert "--backbone lenet5" in str(refused("verify", str(choice), "--backbone", row.name))
        build_backbone(row, weights=replace(found, partial=True))
        build_backbone(find_backbone("lenet5"), weights=found)


@pytest.mark.usefixtures("published")
def test_what_cannot_be_downloaded_is_said_with_what_to_do(
    folder: Path, closed_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    row = published_at(BACKBONES["resnet50"], closed_url)
    monkeypatch.setitem(BACKBONES, "resnet50", row)
    words = str(refused("fetch", "resnet50", "--to", str(tmp_path / "car")))
    assert "cannot download" in words
    assert (
        "--to FOLDER puts it into a folder to carry here and to name with TL_WEIGHTS_DIR" in words
    )
    assert not (tmp_path / "car").exists()
    words = str(refused("fetch", "resnet50", "--to", str(Path(__file__) / "x")))
    assert "cannot be made a folder" in words
    monkeypatch.setenv("TL_WEIGHTS_DIR", str(tmp_path / "none"))
    assert "is not a folder" in str(refused("fetch", "resnet50"))


def test_file_that_two_backbones_can_begin_with_is_of_the_one_it_was_published_for(
    folder: Path,
) -> None:
    (folder / "mobilenet_1_0_224_tf.h5").write_bytes(CONTENT)
    rows = json.loads("\n".join(said("list", "--json")))
    assert [row["backbone"] for row in rows if row["kind"] == "imagenet"] == ["mobilenet"]


@pytest.mark.usefixtures("published", "folder")
def test_published_file_is_known_by_its_name_wherever_it_lies(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(CONTENT)
    (line,) = said("verify", str(tmp_path / NAME))
    assert line.startswith("as published")
    (tmp_path / NAME).write_bytes(CONTENT + b"x")
    assert f"fetch resnet50 --to {tmp_path}" in str(refused("verify", str(tmp_path / NAME)))


@pytest.mark.parametrize("size", ["-3", "0", "-5", "31"])
@pytest.mark.parametrize("command", ["path", "fetch"])
def test_sizes_that_no_backbone_takes_are_refused(command: str, size: str, folder: Path) -> None:
    words = str(refused(command, "mobilenet_0.25", "--image-size", size))
    assert "too small for mobilenet_0.25: it needs at least 32x32" in words
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("published")
def test_altered_file_is_named_and_fails(folder: Path) -> None:
    (folder / NAME).write_bytes(CONTENT)
    assert any(line.startswith("as published") and line.endswith(NAME) for line in said("verify"))
    (folder / NAME).write_bytes(CONTENT + b"x")
    words = str(refused("verify", str(folder / NAME)))
    assert "1 file altered or damaged" in words
    assert "tl weights fetch resnet50" in words
    assert (folder / NAME).read_bytes() == CONTENT + b"x"


@pytest.mark.usefixtures("published")
def test_fetch_puts_the_file_where_it_is_asked_for_once(folder: Path) -> None:
    (line,) = said("fetch", "resnet50", "--to", str(folder))
    assert line == f"fetched  {folder / NAME}  0.0 MB, MIT (Kaiming He)"
    assert said("fetch", "resnet50", "--to", str(folder)) == [f"here already  {folder / NAME}"]
    assert said("path", "resnet50") == [str(folder / NAME)]


@pytest.mark.usefixtures("published")
def test_fetch_keeps_aside_what_is_another_file(folder: Path) -> None:
    (folder / NAME).write_bytes(b"mine")
    kept, fetched = said("fetch", "resnet50", "--to", str(folder))
    assert kept == f"kept aside  what had this name, as {folder / NAME}.refused"
    assert fetched.startswith(f"fetched  {folder / NAME}")
    assert (folder / f"{NAME}.refused").read_bytes() == b"mine"
    assert (folder / NAME).read_bytes() == CONTENT


def test_half_a_file_without_a_digest_is_named_and_fetched_anew(
    folder: Path, serve: ServeWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tl.cli.zoo import zoo

    name = "mobilenet_2_5_224_tf_no_top.h5"
    row = published_at(find_backbone("mobilenet_0.25"), serve(CONTENT))
    monkeypatch.setitem(BACKBONES, "mobilenet_0.25", row)
    (folder / name).write_bytes(CONTENT[: len(CONTENT) // 2])

    words = str(refused("verify"))
    assert f"`tl weights fetch mobilenet_0.25 --to {folder}` keeps it aside" in words
    rows = json.loads(CliRunner().invoke(zoo, ["--json"]).output)
    assert next(one for one in rows if one["name"] == row.name)["weights_whole"] is False
    table = CliRunner().invoke(zoo, []).output.splitlines()
    line = next(line for line in table if line.split()[:1] == [row.name])
    assert line.rstrip().endswith("damaged")

    said("fetch", "mobilenet_0.25", "--to", str(folder))

    assert (folder / name).read_bytes() == CONTENT
    assert any(line.startswith("no digest is published") for line in said("verify"))
    assert said("fetch", "mobilenet_0.25", "--to", str(folder)) == [
        f"here already  {folder / name}"
    ]


def test_what_cannot_be_is_refused_in_words(folder: Path) -> None:
    assert "did you mean 'resnet50'" in str(refused("fetch", "resnet5"))
    assert "has no pretrained weights" in str(refused("fetch", "resnet18"))
    assert "has no pretrained weights" in str(refused("path", "resnet18"))
    assert "tl weights fetch vgg16" in str(refused("path", "vgg16"))
    assert "no such file" in str(refused("verify", str(folder / "none.h5")))
    (folder / "mine.h5").write_bytes(CONTENT)
    assert "nothing is known to compare it with" in str(refused("verify", str(folder / "mine.h5")))
    assert "name the FILE, too" in str(refused("verify", "--backbone", "vgg16"))


def test_layers_are_compared_one_by_one(folder: Path) -> None:
    import keras

    from tl.zoo.build import build_backbone
    from tl.zoo.load import save_backbone_npz

    small = build_backbone(find_backbone("lenet5"))
    path = folder / "lenet5.npz"
    save_backbone_npz(small, path)
    lines = said("verify", str(path), "--backbone", "lenet5")
    assert lines[-1].startswith("3 of 3 layers fit; 0 only in the file")

    other = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, name="c1")])
    save_backbone_npz(other, folder / "other.npz")
    done = CliRunner().invoke(
        weights, ["verify", str(folder / "other.npz"), "--backbone", "lenet5"]
    )
    assert done.exit_code == 1
    assert "3x3x3x4, 4 in place of 5x5x3x6, 6" in done.output
    assert "missing" in done.output


def test_licences_are_those_that_keras_states() -> None:
    stated = {name: licence_of(row) for name, row in BACKBONES.items() if row.keras_class}
    assert stated["vgg19"].startswith("CC BY 4.0")
    assert stated["densenet201"].startswith("BSD-3-Clause")
    assert stated["nasnet_large"].startswith("Apache-2.0")
    assert stated["xception"].startswith("MIT")
    for name in (
        "resnet50_v2",
        "resnet101",
        "convnext_tiny",
        "efficientnet_b0",
        "mobilenet_v3_small",
    ):
        assert stated[name] == NOT_STATED


def test_partial_weights_begin_with_what_fits_and_say_what_does_not(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import numpy as np

    from tl.zoo.build import build_backbone
    from tl.zoo.load import load_backbone_weights, save_backbone_npz

    saved = build_backbone(find_backbone("lenet5"))
    save_backbone_npz(saved, folder / "x.npz")
    with np.load(folder / "x.npz") as arrays:
        names = [name for name in arrays if not name.startswith("c1/")]
        np.savez(folder / "part.npz", **{name: arrays[name] for name in names})

    model = build_backbone(find_backbone("lenet5"))
    before = [np.array(one) for one in model.get_layer("c1").get_weights()]
    with pytest.raises(WeightsError, match="model.partial_weights=true begins with"):
        load_backbone_weights(model, folder / "part.npz")
    load_backbone_weights(model, folder / "part.npz", partial=True)

    for one, kept in zip(model.get_layer("c1").get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, kept)
    others = [layer.name for layer in saved.layers if layer.weights and layer.name != "c1"]
    for name in others:
        for one, wanted in zip(
            model.get_layer(name).get_weights(), saved.get_layer(name).get_weights(), strict=True
        ):
            np.testing.assert_allclose(one, wanted, atol=1e-3)
    (record,) = caplog.records
    assert record.getMessage() == (
        f"1 of the 3 layers do not come from {folder / 'part.npz'} and stay random:\n  c1: missing"
    )


def test_folder_of_a_run_has_its_weights(trained: Any) -> None:
    from tl.zoo.weights import resolve_weights

    found = resolve_weights(find_backbone("tl_small"), str(trained.run))
    assert found.path == trained.run / "classifier.weights.h5"
    (*_, last) = said("verify", str(trained.run), "--backbone", "tl_small")
    layers, _, others = last.partition(" layers fit; ")
    assert len(set(layers.split(" of "))) == 1, "all fit"
    assert others.endswith("only in the file")  # the head
