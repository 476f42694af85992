"""What `tl finetune` says of the data before it trains."""

from pathlib import Path
from typing import Any

import pytest

from pipelines.plan import make_plan
from tl.cli.finetune import plan_lines
from tl.config_reading import read_config
from tl.errors import ConfigError


def lines_of(dataset: Path, **settings: Any) -> str:
    config = read_config(
        None, (), {"dataset": str(dataset), "model.backbone": "tl_small", **settings}
    )
    return "\n".join(plan_lines(make_plan(config, dry_run=True)))


@pytest.fixture
def table(pictures: Path, tmp_path: Path) -> Path:
    files = sorted(pictures.rglob("*.jpg"))
    rows = [f"{file},{file.parent.name}" for file in files]
    (tmp_path / "t.csv").write_text("\n".join(["path,label", *rows, ",red", "x.jpg,"]) + "\n")
    return tmp_path / "t.csv"


def test_rows_that_were_passed_over_are_counted(table: Path, pictures: Path) -> None:
    said = lines_of(table, **{"data.root": str(pictures)})

    assert "t: 36 pictures in 3 classes" in said
    assert "2 rows passed over; the first: row 37: no path or no label" in said


def test_pictures_told_by_their_names_are_said_to_be(table: Path, pictures: Path) -> None:
    said = lines_of(table, **{"data.root": str(pictures), "data.identity": "key"})

    assert "told apart by their names" in said
    assert "told apart" not in lines_of(table, **{"data.root": str(pictures)})


def test_near_duplicates_are_counted(pictures: Path, tmp_path: Path, make_pictures: Any) -> None:
    import cv2

    root = make_pictures(tmp_path / "twice")
    for name, number in (("red", 3), ("blue", 5)):
        picture = cv2.imread(str(root / name / f"{number:02}.jpg"))
        cv2.imwrite(str(root / name / "copy.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 90])

    assert "4 pictures nearly the same as another" in lines_of(root, **{"data.dedupe": True})


def test_what_was_asked_for_is_said(pictures: Path) -> None:
    asked = {"data.shots": 3, "data.folds": 4, "data.fold": 1, "data.cache": "disk",
             "data.workers": 1, "training.balance": "weights"}  # fmt: skip

    said = lines_of(pictures, **asked)

    assert "3 training pictures a class (--shots)" in said
    assert "fold 1 of 4, counted from 0" in said
    assert "--cache disk" in said
    assert "1 process beside this one" in said
    assert "classes balanced by weights" in said
    plain = lines_of(pictures)
    assert not [
        word for word in ("--shots", "fold", "--cache", "process", "balanced") if word in plain
    ]


def test_dry_run_refuses_the_weights_that_the_run_would(pictures: Path, tmp_path: Path) -> None:
    """A file without a backbone's name; and with `tl` it names the network that would be taken."""
    (tmp_path / "some.h5").write_bytes(b"any")

    with pytest.raises(ConfigError, match="--backbone auto cannot tell whose weights"):
        lines_of(pictures, **{"model.backbone": "auto", "model.weights": str(tmp_path / "some.h5")})
    said = lines_of(pictures, **{"model.backbone": "auto", "model.weights": "tl"})
    assert "backbone  tl_small at " in said
