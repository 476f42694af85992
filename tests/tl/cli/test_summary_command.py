"""`tl summary` and `tl zoo compare` as they are typed."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def test_summary_prints_a_table_with_all_digits(tl: Run) -> None:
    done = tl("summary", "vgg16")

    assert done.code == 0, done.err
    lines = done.out.splitlines()
    first = next(line for line in lines if line.startswith("block1_conv1"))
    assert first.split() == [
        "block1_conv1", "Conv2D", "+", "relu", "3x3", "1", "1", "224x224x64", "3,211,264",
        "12,544", "1,728", "1,792", "86,704,128", "3", "1", "-1",
    ]  # fmt: skip
    assert any("138,357,544 = 138,344,128 weights + 13,416 biases" in line for line in lines)
    # 138,357,544 * 4 bytes, and 32 pictures of twice 64 maps of 224x224.
    assert any(line.startswith("to run") and "1,312 MB for 32" in line for line in lines)


def test_summary_as_json_has_every_layer(tl: Run) -> None:
    done = tl("summary", "lenet5", "--channels", "1", "--batch", "4", "--json")

    found = json.loads(done.out)
    assert (found["parameters"], found["input"], found["form"]) == (
        61_706, [32, 32, 1], "classifier",
    )  # fmt: skip
    assert found["memory"]["batch"] == 4
    convolution = next(layer for layer in found["layers"] if layer["name"] == "c1")
    assert convolution["kernel"] == [5, 5]
    assert convolution["padding"] == [[0, 0], [0, 0]]
    assert convolution["receptive_field"]["height"] == {
        "size": 5, "stride": 1, "offset": 0, "centre": 2.0,
    }  # fmt: skip


def test_summary_in_markdown_has_one_row_a_layer(tl: Run) -> None:
    done = tl("summary", "alexnet", "--markdown")

    rows = [line for line in done.out.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 24
    assert len({line.count("|") for line in rows}) == 1
    assert "| conv1 | Conv2D | 11x11 | 4 | 0 | 55x55x96 | 290,400 | 1,134 | 34,848 | 34,944 |" in (
        done.out
    )


def test_summary_as_a_page(tl: Run) -> None:
    done = tl("summary", "resnet18", "--input", "64x96", "--html")

    assert done.out.startswith("<!doctype html>")
    assert "pictures of 64x96x3" in done.out
    assert '<svg class="network"' in done.out


def test_summary_of_the_backbone_as_tl_uses_it(tl: Run) -> None:
    found = json.loads(tl("summary", "vgg16", "--features", "--json").out)

    assert (found["parameters"], found["form"]) == (14_714_688, "features")
    assert found["layers"][-1]["name"] == "features"
    # There is no network of tl_small with classes.
    assert json.loads(tl("summary", "tl_small", "--json").out)["form"] == "features"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["vgg61"], "no backbone is called 'vgg61'; did you mean 'vgg19' or 'vgg16'?"),
        (["vgg16", "--input", "31"], "31x31 are too small for vgg16: it needs at least 32x32"),
        (["inception_v3", "--input", "80x74"], "80x74 are too small for inception_v3"),
        (["vgg16", "--input", "large"], "--input 'large' is no size"),
        (["vgg16", "--input", "-5"], "--input '-5' is no size"),
        (["vgg16", "--input", "22.4"], "--input '22.4' is no size"),
        (["vgg16", "--input", "224x"], "--input '224x' is no size"),
        (["vgg16", "--input", "999999"], "too large: pass --input 16384 or less"),
        (["vgg16", "--json", "--html"], "--json and --html are two forms of output: give one"),
        (["vgg16", "--json", "--markdown"], "--markdown and --json are two forms of output"),
        (["tl_small", "--channels", "1"], "as a backbone tl_small takes RGB"),
        (["vgg16", "--channels", "2"], "1 channel (grey) or 3 (RGB), not 2"),
        (["vgg16", "--batch", "0"], "--batch"),
    ],
)
def test_summary_refuses_in_one_line(tl: Run, words: list[str], said: str) -> None:
    done = tl("summary", *words)

    assert done.code == 2
    assert said in done.error
    assert done.out == ""


def test_sizes_are_refused_before_keras_is_imported() -> None:
    code = """
import sys
from tl.cli.main import main
for words in (["inception_v3", "--input", "74"], ["vgg16", "--channels", "2"]):
    try:
        main(["summary", *words])
    except SystemExit as ended:
        print(ended.code, "keras" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.split() == ["2", "False"] * 2
    assert "74x74 are too small for inception_v3" in done.stderr
    assert "Pass --input 75 or more" in done.stderr


def test_compare_prints_published_accuracy_or_a_dash(tl: Run) -> None:
    done = tl("zoo", "compare", "mobilenet_v2", "mobilenet_0.25", "convnext_tiny")

    assert done.code == 0, done.err
    rows = {line.split()[0]: line.split()[1:] for line in done.out.splitlines() if line}
    assert rows["mobilenet_v2"] == ["224", "71.3", "90.1", "300.8", "3,538,984", "23"]
    assert rows["mobilenet_0.25"][1:3] == ["-", "-"]
    assert rows["convnext_tiny"][1:3] == ["81.3", "-"]
    assert "keras.io/api/applications" in done.out
    assert any(line.split()[:2] == ["2012", "AlexNet"] for line in done.out.splitlines())


def test_compare_measures_and_draws(tl: Run, tmp_path: Path) -> None:
    picture = tmp_path / "chart.svg"

    done = tl("zoo", "compare", "lenet5", "--measure", "--json")
    drawn = tl("zoo", "compare", "lenet5", "mobilenet_v2", "--picture", picture, "--markdown")

    found = json.loads(done.out)
    speeds = found["backbones"][0]["pictures_per_second"]
    # A network this small is all overhead one picture at a time.
    assert 1 < speeds["1"] < speeds["32"]
    assert [one["top_5_error"] for one in found["milestones"]] == [26, 16, 11.7, 6.6, 4.5]
    assert "mobilenet_v2" in picture.read_text()
    assert "without lenet5: no published accuracy" in drawn.err
    assert "| mobilenet_v2 | 224 | 71.3 | 90.1 | 300.8 | 3,538,984 | 23 |" in drawn.out
    assert "| 2015 | ResNet | 4.5 | 4.49 for one network of 152 layers" in drawn.out
    assert "2012 AlexNet 16; 2013 Clarifai, after ZFNet 11.7;" in picture.read_text()


def test_compare_obeys_json_before_its_name(tl: Run) -> None:
    found = json.loads(tl("zoo", "--json", "compare", "lenet5").out)

    assert [one["name"] for one in found["backbones"]] == ["lenet5"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_compare_prints_the_table_though_the_picture_is_not_written(
    tl: Run, tmp_path: Path
) -> None:
    picture = tmp_path / "chart.png"
    picture.symlink_to("/dev/full")

    done = tl("zoo", "compare", "mobilenet_0.25", "mobilenet", "--picture", picture)

    assert done.code == 2
    assert "cannot be written: No space left on device" in done.error
    assert any(line.startswith("mobilenet_0.25") for line in done.out.splitlines())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["resnet51"], "no backbone is called 'resnet51'; did you mean"),
        (["vgg16", "--picture", "chart.gif"], "give a name that ends in .png or .svg"),
        (["vgg16", "--picture", "nowhere/chart.png"], "there is no folder"),
        (["lenet5", "--picture", "chart.png"], "no accuracy is published of any of these"),
        (["lenet5", "allconv", "--measure", "--picture", "a.png"], "no accuracy is published of"),
        (["vgg16", "--measure", "--picture", f"{'a' * 300}.png"], "File name too long"),
        (["vgg16", "--json", "--markdown"], "two forms of output: give one"),
    ],
)
def test_compare_refuses_in_one_line(
    tl: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)

    done = tl("zoo", "compare", *words)

    assert done.code == 2
    assert said in done.error
    assert list(tmp_path.iterdir()) == []


def test_compare_refuses_a_folder_for_a_picture(tl: Run, tmp_path: Path) -> None:
    (tmp_path / "chart.png").mkdir()

    done = tl("zoo", "compare", "vgg16", "--measure", "--picture", tmp_path / "chart.png")

    assert done.code == 2
    assert "chart.png is a folder: give the name of a file" in done.error
