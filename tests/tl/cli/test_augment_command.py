"""What `tl augment` writes, what it imports, and what it refuses."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_sheet_is_written_and_the_recipe_listed(tl: Run, pictures: Path, here: Path) -> None:
    done = tl("augment", "--dataset", pictures, "--recipe", "strong", "--pictures", "3")

    assert done.code == 0, done.err
    assert "recipe  strong at 224 x 224" in done.out
    assert "trivial_augment: p 1.0, max_magnitude 30" in done.out
    with Image.open(here / "augment-strong.png") as sheet:
        assert sheet.width > 12 * 100
        assert 3 * 100 < sheet.height < 4 * 140


def test_transforms_of_a_file_are_drawn(tl: Run, pictures: Path, here: Path) -> None:
    (here / "run.toml").write_text(
        f'dataset = "{pictures}"\n[[augment.transforms]]\nname = "rotate"\ndegrees = 3.0\n'
    )

    done = tl("augment", "--config", "run.toml", "--output", "sheet.png", "--image-size", "64")

    assert "recipe  custom at 64 x 64" in done.out
    assert "rotate: p 0.5, degrees 3.0, border reflect" in done.out
    assert (here / "sheet.png").is_file()


def test_built_in_digits_take_their_own_recipe(tl: Run) -> None:
    done = tl("augment", "--dataset", "digits", "--pictures", "2", "--image-size", "32")

    assert "recipe  digits" in done.out
    assert "flip" not in done.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--recipe", "defualt"], "augment.recipe = 'defualt'; valid: auto, none, light"),
        (["--set", "augment.transforms=[{name='flip'}]"], "unknown transform 'flip'"),
        (["--output", "nowhere/sheet.png"], "no folder nowhere"),
        (["--pictures", "0"], "--pictures"),
        (["--image-size", "7"], "model.image_size = 7"),
    ],
)
def test_wrong_input_is_one_line(tl: Run, pictures: Path, words: list[str], message: str) -> None:
    done = tl("augment", "--dataset", pictures, *words)

    assert done.code == 2
    assert message in done.error


def test_named_file_is_not_written_over(tl: Run, pictures: Path, here: Path) -> None:
    (here / "notes.png").write_text("mine")

    done = tl("augment", "--dataset", pictures, "--output", "notes.png")

    assert done.code == 2
    assert "notes.png is there already" in done.error
    assert (here / "notes.png").read_text() == "mine"


def test_place_that_takes_no_sheet_is_named(tl: Run, pictures: Path, here: Path) -> None:
    assert "let its name end with .png" in tl("augment", "--dataset", pictures, "--output",
                                              "x.txt").error  # fmt: skip
    (here / "locked").mkdir()
    with pytest.MonkeyPatch.context() as patch:  # as somebody who is not root would find it
        patch.setattr("os.access", lambda path, mode: False)
        done = tl("augment", "--dataset", pictures, "--output", "locked/x.png")
    assert "locked/x.png: the folder may not be written to" in done.error


def test_sheet_needs_no_training_library(pictures: Path) -> None:
    script = """
import sys
from tl.cli.main import main
try:
    main(sys.argv[1:])
finally:
    print("heavy:", [n for n in ("tensorflow", "keras", "mlflow") if n in sys.modules])
"""
    words = ["augment", "--dataset", str(pictures)]

    done = subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == "heavy: []"
