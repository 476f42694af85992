import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tl.config import DataConfig
from tl.data import prepare as prepare_module
from tl.data.example import SIDES
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
    assert len(pictures.dataset) == 20
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


def write_table(folder: Path, rows: list[str], header: str = "path,label") -> Path:
    table = folder / "t.csv"
    table.write_text("\n".join([header, *rows]) + "\n")
    return table


@pytest.fixture
def table(make_folder: Callable[..., Path]) -> Path:
    root = make_folder({"a": 20, "b": 20})
    rows = [f"{name}/{number:03d}.png,{name}" for name in "ab" for number in range(20)]
    return write_table(root, rows)


def test_shots_keep_a_fixed_number_of_training_pictures(table: Path) -> None:
    whole = prepare_data(str(table), DataConfig(), seed=1, cache=None)
    data = prepare_data(str(table), DataConfig(shots=3), seed=1, cache=None)

    assert data.counts()["train"] == {"a": 3, "b": 3}
    assert data.counts()["val"] == whole.counts()["val"]
    assert data.counts()["test"] == whole.counts()["test"]
    assert set(data.side("train").keys) <= set(whole.side("train").keys)
    assert len(data.pictures.identities) == len(data.sides) == len(data.pictures.examples)


def test_every_fold_validates_on_pictures_of_its_own(table: Path) -> None:
    seen: list[str] = []
    for fold in range(4):
        config = DataConfig(folds=4, fold=fold, test_fraction=0.0)
        seen += list(prepare_data(str(table), config, seed=0, cache=None).side("val").keys)

    assert sorted(seen) == sorted(set(seen))
    assert len(seen) == 40


def test_keys_in_place_of_contents_read_no_picture(table: Path) -> None:
    for path in table.parent.glob("*/*.png"):
        path.unlink()

    config = DataConfig(identity="key", max_unreadable_fraction=1)
    data = prepare_data(str(table), config, seed=0, cache=None)

    assert sum(len(data.side(side)) for side in SIDES) == 40
    assert set(data.split()) == set(data.pictures.examples.keys)


def test_keys_in_place_of_contents_still_look_at_some_pictures(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = sorted(table.parent.glob("*/*.png"))
    for path in pictures[::3]:
        path.unlink()
    monkeypatch.setattr(prepare_module, "SPOT_CHECK", 20)

    with pytest.raises(DatasetError, match=r"of 20 pictures that were looked at cannot be read"):
        prepare_data(str(table), DataConfig(identity="key"), seed=0, cache=None)


def test_picture_of_another_hash_than_the_tables_is_left_out(table: Path) -> None:
    pictures = sorted(table.parent.glob("*/*.png"))
    rows = [
        f"{path.relative_to(table.parent)},{path.parent.name},"
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in pictures
    ]
    write_table(table.parent, rows, "path,label,sha256")
    pictures[7].write_bytes(pictures[8].read_bytes())

    data = prepare_data(str(table), DataConfig(), seed=0, cache=None)

    ((key, fault),) = data.pictures.unreadable
    assert key == "a/007.png"
    assert "not the" in fault


def test_table_whose_pictures_are_elsewhere_says_where_it_looked(
    table: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere" / "t.csv"
    moved.parent.mkdir()
    table.rename(moved)

    with pytest.raises(DatasetError, match=r"paths start from .*elsewhere; .* set data\.root"):
        prepare_data(str(moved), DataConfig(), seed=0, cache=None)
    data = prepare_data(str(moved), DataConfig(root=str(table.parent)), seed=0, cache=None)
    assert not data.pictures.unreadable


def test_new_picture_of_a_group_on_two_sides_is_left_out_and_named(
    table: Path, tmp_path: Path
) -> None:
    data = prepare_data(str(table), DataConfig(), seed=0, cache=None)
    by_key = dict(zip(data.pictures.examples.keys, data.sides, strict=True))
    one = next(key for key, side in by_key.items() if side == "train")
    other = next(key for key, side in by_key.items() if side == "test")
    write_split(tmp_path / "split.json", data.split())
    (table.parent / "a" / "new.png").write_bytes((table.parent / one).read_bytes() + b"\0")
    rows = [f"{key},{key[0]},{'g' if key in (one, other) else ''}" for key in by_key]
    write_table(table.parent, [*rows, "a/new.png,a,g"], "path,label,group")

    config = DataConfig(split_file=str(tmp_path / "split.json"))
    again = prepare_data(str(table), config, seed=5, cache=None)

    assert again.left_out == ("a/new.png",)
    assert again.split() == data.split()


def test_fingerprint_tells_labels_of_every_problem_apart(table: Path) -> None:
    rows = ["a/000.png,1|2", "a/001.png,1", "b/000.png,2", "b/001.png,1"]
    other = ["a/000.png,1", *rows[1:]]
    numbers = [row.replace("1|2", "1.5") for row in rows]
    seen = []
    kinds = (
        (rows, DataConfig()),
        (other, DataConfig(problem="multi_label")),
        (numbers, DataConfig(problem="regression")),
    )
    for lines, config in kinds:
        write_table(table.parent, lines, "path,labels")
        seen.append(read_pictures(str(table), config, cache=None).fingerprint)

    assert len(set(seen)) == 3


def test_near_duplicates_are_kept_on_one_side(make_folder: MakeFolder) -> None:
    import cv2
    import numpy as np

    root = make_folder({"a": 0, "b": 0})
    rng = np.random.default_rng(0)
    for name in "ab":
        for number in range(12):
            coarse = rng.integers(0, 256, (6, 8, 3)).astype(np.uint8)
            picture = cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC)
            for copy, side in enumerate((1.0, 0.5)):
                smaller = cv2.resize(picture, None, fx=side, fy=side, interpolation=cv2.INTER_AREA)
                cv2.imwrite(str(root / name / f"{number:02d}-{copy}.jpg"), smaller)

    plain = prepare_data(str(root), DataConfig(), seed=0, cache=None)
    data = prepare_data(str(root), DataConfig(dedupe=True), seed=0, cache=None)

    def divided(split: PreparedData) -> int:
        sides: dict[str, set[str]] = {}
        for key, side in zip(split.pictures.examples.keys, split.sides, strict=True):
            sides.setdefault(key.split("-")[0], set()).add(side)
        return sum(len(found) > 1 for found in sides.values())

    assert divided(plain) > 0
    assert divided(data) == 0
    assert data.near_duplicates == 48


def test_folds_of_a_dataset_that_gives_its_validation_are_refused(
    make_folder: Callable[..., Path],
) -> None:
    root = make_folder({"train/a": 6, "train/b": 6, "val/a": 2, "val/b": 2})

    with pytest.raises(DatasetError, match="gives its own validation pictures.*folds = 3"):
        prepare_data(str(root), DataConfig(folds=3), seed=0, cache=None)


def test_broken_link_is_an_unreadable_picture(make_folder: MakeFolder) -> None:
    root = make_folder({"cats": 20, "dogs": 20})
    (root / "cats" / "x.png").symlink_to(root / "gone.png")

    pictures = read_pictures(str(root), DataConfig(), cache=None)

    ((key, fault),) = pictures.unreadable
    assert key == "cats/x.png"
    assert "No such file or directory" in fault
    assert len(pictures.examples) == 40
