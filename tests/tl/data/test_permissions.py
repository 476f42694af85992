"""What may not be read is named, or counted and passed over; also where the tests run as root."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tl.data.scenes import sound_files, write_files
from tl.config import DataConfig
from tl.data import batches
from tl.data.batches import PictureSource
from tl.data.inspect import inspect_examples
from tl.data.prepare import read_pictures
from tl.data.sources import open_dataset
from tl.errors import DatasetError

NOBODY = 65534


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Give up root's right to read everything, if it is root that runs the tests."""
    mine = os.geteuid()
    if mine == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(mine)


@pytest.fixture
def pets() -> Iterator[Path]:
    """A folder of its own, because nobody may walk through pytest's."""
    root = Path(tempfile.mkdtemp())
    root.chmod(0o755)
    yield write_files(root / "pets", sound_files(3))
    shutil.rmtree(root)


def test_folder_that_may_not_be_listed_is_refused(pets: Path) -> None:
    (pets / "cats").chmod(0)

    with as_nobody(), pytest.raises(DatasetError, match="cannot list .*cats: Permission denied"):
        open_dataset(str(pets))
    (pets / "cats").chmod(0o755)


def test_picture_that_may_not_be_read_is_counted_and_passed_over(pets: Path) -> None:
    dataset = open_dataset(str(pets))
    hidden = dataset[1]
    assert hidden.path is not None
    hidden.path.chmod(0)

    with as_nobody():
        looks = inspect_examples(dataset, max_pixels=10**8, cache=None)
        pictures = read_pictures(str(pets), DataConfig(max_unreadable_fraction=0.5), cache=None)

    assert [look.fault is not None for look in looks] == [place == 1 for place in range(6)]
    assert [key for key, _ in pictures.unreadable] == [hidden.key]
    assert "Permission denied" in pictures.unreadable[0][1]


def test_right_that_is_taken_away_in_mid_epoch_costs_a_line_and_weight_0(
    pets: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_REPORTED", {})
    source = PictureSource(open_dataset(str(pets)))
    assert source[0][2] == 1
    (pets / "cats").chmod(0)

    with as_nobody():
        image, label, weight = source[0]
    (pets / "cats").chmod(0o755)

    assert (label, weight) == (1, 0)  # the first of the dogs stands in
    assert image.ndim == 3
    assert "is left out of training: cannot read cats/" in caplog.text


def test_table_that_may_not_be_read_is_refused(pets: Path) -> None:
    table = pets.parent / "t.csv"
    table.write_text("path,label\na.png,cat\n")
    import tl.data.formats.table  # noqa: F401 - nobody may not read our environment

    table.chmod(0)

    with as_nobody(), pytest.raises(DatasetError, match=r"cannot read .*t.csv.*Permission denied"):
        open_dataset(str(table))
