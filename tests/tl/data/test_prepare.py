import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tl.config import DataConfig
from tl.data.prepare import PreparedData, prepare_data, read_pictures
from tl.data.split import write_split
from tl.errors import DatasetError

MakeFolder = Callable[..., Path]
LENIENT = DataConfig(max_unreadable_fraction=0.5)


def prepare(root: Path, config: DataConfig = LENIENT, seed: int = 0) -> PreparedData:
    return prepare_data(str(root), config, seed=seed, cache=None)


def fingerprint(root: Path) -> str:
    return read_pictures(str(root), LENIENT, cache=None).fingerprint


def test_pictures_are_divided_among_the_sides(make_folder: MakeFolder) -> None:
    data = prepare(make_folder({"cats": 30, "dogs": 20}))

    counts = data.counts()
    assert data.class_names == ("cats", "dogs")
    assert sum(counts[side]["cats"] for side in counts) == 30
    assert sum(counts[side]["dogs"] for side in counts) == 20
    assert [example.label for example in data.side("test")].count(1) == counts["test"]["dogs"]
    assert len(data.split()) == 50


def test_unreadable_pictures_are_left_out_and_listed(make_folder: MakeFolder) -> None:
    root = make_folder({"cats": 10, "dogs": 10})
    (root / "cats" / "000.png").write_bytes(b"")
    (root / "dogs" / "004.png").write_text("no picture")

    pictures = prepare(root).pictures

    assert pictures.unreadable == (
        ("cats/000.png", "an empty file"),
        ("dogs/004.png", "not a picture, or its header is damaged"),
    )
    assert len(pictures.examples) == len(pictures.identities) == 18
    assert len(pictures.dataset.examples) == 20
    assert pictures.formats == {"png": 18}


def test_too_many_unreadable_pictures_stop_with_the_first_names(make_folder: MakeFolder) -> None:
    root = make_folder({"cats": 10, "dogs": 10})
    for name in ("000", "001", "002", "003"):
        (root / "cats" / f"{name}.png").write_bytes(b"")

    with pytest.raises(DatasetError) as caught:
        prepare(root, DataConfig(max_unreadable_fraction=0.19))

    message = str(caught.value)
    assert message.startswith("4 of 20 pictures cannot be read (20%)")
    assert "data.max_unreadable_fraction = 0.19" in message
    assert "cats/000.png: an empty file" in message
    assert "cats/003.png" not in message
    prepare(root, DataConfig(max_unreadable_fraction=0.2))  # as large a share is allowed


def test_nothing_but_unreadable_pictures_stops_whatever_the_limit(make_folder: MakeFolder) -> None:
    root = make_folder({"cats": 1, "dogs": 1})
    for path in root.rglob("*.png"):
        path.write_bytes(b"")

    with pytest.raises(DatasetError, match="2 of 2 pictures cannot be read"):
        prepare(root, DataConfig(max_unreadable_fraction=1.0))


def test_pictures_above_the_limit_of_size_are_unreadable(make_folder: MakeFolder) -> None:
    root = make_folder({"cats": 3, "dogs": 3})

    with pytest.raises(DatasetError, match="8 x 8 .*max_megapixels"):
        prepare(root, DataConfig(max_megapixels=0.00006))


def test_fingerprint_is_of_the_contents_not_of_path_order_or_time(
    make_folder: MakeFolder, tmp_path: Path
) -> None:
    root = make_folder({"cats": 5, "dogs": 4})
    before = fingerprint(root)
    other = tmp_path / "elsewhere" / "animals"
    shutil.copytree(root, other)
    for index, path in enumerate(sorted(other.rglob("*.png"))):
        os.utime(path, (index, index))
        path.rename(path.with_name(f"{99 - index}.PNG"))

    assert fingerprint(other) == before
    assert len(before) == 32


def test_fingerprint_changes_with_a_label_or_a_content(
    make_folder: MakeFolder, make_png: Callable[[int], bytes]
) -> None:
    root = make_folder({"cats": 5, "dogs": 4})
    seen = {fingerprint(root)}

    (root / "cats" / "000.png").rename(root / "dogs" / "moved.png")
    seen.add(fingerprint(root))
    (root / "dogs" / "moved.png").write_bytes(make_png(77))
    seen.add(fingerprint(root))
    (root / "dogs" / "moved.png").unlink()
    seen.add(fingerprint(root))
    (root / "cats").rename(root / "cots")  # the same label, another name
    seen.add(fingerprint(root))

    assert len(seen) == 5


def test_split_does_not_depend_on_paths(make_folder: MakeFolder) -> None:
    root = make_folder({"cats": 20, "dogs": 20})
    before = prepare(root).split()
    for path in root.rglob("*.png"):
        path.rename(path.with_name(f"renamed-{path.name}"))

    assert prepare(root).split() == before


def test_split_file_of_an_earlier_run_is_kept(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder({"cats": 20, "dogs": 20})
    earlier = prepare(root, seed=1).split()
    write_split(tmp_path / "split.json", earlier)

    again = prepare(root, DataConfig(split_file=str(tmp_path / "split.json")), seed=2)

    assert again.split() == earlier
    assert prepare(root, seed=2).split() != earlier


def test_class_whose_pictures_are_all_unreadable_is_named(make_folder: MakeFolder) -> None:
    root = make_folder({"cats": 20, "dogs": 1})
    (root / "dogs" / "000.png").write_bytes(b"")

    with pytest.raises(DatasetError, match="class 'dogs' has 0 different pictures"):
        prepare(root)


def test_digits_are_prepared() -> None:
    data = prepare_data("digits", DataConfig(), seed=0, cache=None)

    assert sum(len(data.side(side)) for side in ("train", "val", "test")) == 1797
    assert all(count > 10 for side in data.counts().values() for count in side.values())
