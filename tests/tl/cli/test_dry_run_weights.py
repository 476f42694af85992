"""`tl finetune --dry-run` refuses the weights that the run would refuse."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tl.zoo.backbones import BACKBONES

Run = Callable[..., Any]


def test_files_that_do_not_fit_are_refused(
    tl: Run, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tl.zoo.backbones import find_backbone
    from tl.zoo.build import build_backbone
    from tl.zoo.load import save_backbone_npz

    monkeypatch.chdir(tmp_path)
    save_backbone_npz(build_backbone(find_backbone("mobilenet_0.25"), (32, 32)), Path("good.npz"))
    Path("cut.npz").write_bytes(Path("good.npz").read_bytes()[:20_000])
    Path("pickled.h5").write_bytes(pickle.dumps([1, 2]))

    def dry(file: str, width: str = "0.25") -> Any:
        return tl(
            "finetune", "--dataset", pictures, "--image-size", "32", "--dry-run",
            "--backbone", f"mobilenet_{width}", "--weights", file,
        )  # fmt: skip

    for file, width, words in (
        ("cut.npz", "0.25", "cut off or damaged"),
        ("pickled.h5", "0.25", "Pickled weights are never loaded"),
        ("good.npz", "0.5", "weights of another width"),
    ):
        done = dry(file, width)
        assert (done.code, words in done.err) == (1, True), done.err
        assert "nothing was trained" not in done.out
    done = dry("good.npz")
    assert done.code == 0
    assert "the weights in good.npz" in done.out
    assert {path.name for path in tmp_path.iterdir()} == {"good.npz", "cut.npz", "pickled.h5"}


def test_weights_that_cannot_be_had_are_refused(
    tl: Run, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("TL_WEIGHTS_DIR", raising=False)
    row = BACKBONES["vgg16"]
    assert row.weights_files is not None
    files = tuple(replace(one, url="http://127.0.0.1:9/x.h5") for one in row.weights_files)
    monkeypatch.setitem(BACKBONES, "vgg16", replace(row, weights_files=(files[0], files[1])))

    done = tl("finetune", "--dataset", pictures, "--backbone", "vgg16", "--dry-run")

    assert done.code == 1
    assert "vgg16 has no ImageNet weights here" in done.err
    assert "refused" in done.err
