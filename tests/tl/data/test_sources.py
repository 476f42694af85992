import gzip
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tl.config import DataConfig
from tl.data.decode import decode_picture
from tl.data.formats.builtin import read_digits
from tl.data.formats.options import SourceOptions
from tl.data.prepare import prepare_data
from tl.data.sources import open_dataset
from tl.errors import ConfigError, DatasetError

MakeFolder = Callable[..., Path]
MakePng = Callable[[int], bytes]


def test_class_folders_become_labels_in_the_order_of_their_names(make_folder: MakeFolder) -> None:
    root = make_folder({"dogs": 2, "cats": 3})

    dataset = open_dataset(str(root))

    assert dataset.name == "pets"
    assert dataset.class_names == ("cats", "dogs")
    assert dataset.class_counts() == {"cats": 3, "dogs": 2}
    assert [example.key for example in dataset] == [
        "cats/000.png", "cats/001.png", "cats/002.png", "dogs/000.png", "dogs/001.png"
    ]  # fmt: skip
    assert all(example.side is None for example in dataset)
    assert dataset[3].read() == (root / "dogs" / "000.png").read_bytes()


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Validation", "dev"])
def test_folders_that_give_the_split_are_honoured(val: str, make_folder: MakeFolder) -> None:
    root = make_folder({"train/cats": 2, "train/dogs": 2, f"{val}/cats": 1, f"{val}/dogs": 1,
                        "test/cats": 1, "test/dogs": 1})  # fmt: skip

    dataset = open_dataset(str(root))

    assert dataset.class_names == ("cats", "dogs")
    assert {example.key.split("/")[0]: example.side for example in dataset} == {
        "train": "train", val: "val", "test": "test"
    }  # fmt: skip
    assert len(dataset) == 8


def test_a_class_may_be_called_test_where_there_is_no_training_folder(
    make_folder: MakeFolder,
) -> None:
    dataset = open_dataset(str(make_folder({"test/a": 1, "exam/a": 1})))

    assert dataset.class_names == ("exam", "test")


def test_pictures_at_any_depth_belong_to_their_class(make_folder: MakeFolder) -> None:
    root = make_folder({"cats": 1, "cats/indoor/2024": 2, "dogs": 1})

    assert open_dataset(str(root)).class_counts() == {"cats": 3, "dogs": 1}


def test_extensions_count_in_any_case(make_folder: MakeFolder) -> None:
    root = make_folder({"cats": 4, "dogs": 1})
    for index, name in enumerate(["A.PNG", "b.Jpg", "c.jPeG", "d.TIF"]):
        (root / "cats" / f"{index:03d}.png").rename(root / "cats" / name)

    assert open_dataset(str(root)).class_counts()["cats"] == 4


def test_what_is_no_picture_is_passed_over_and_counted(
    make_folder: MakeFolder, make_png: MakePng
) -> None:
    root = make_folder({"cats": 1, "dogs": 1, "__MACOSX/cats": 1, ".git/cats": 1, "empty/.x": 1})
    for name in ("notes.txt", "Thumbs.db", "no_extension"):
        (root / "cats" / name).write_text("x")
    (root / "dogs" / "labels.csv").write_text("x")
    (root / "cats" / "._000.png").write_bytes(make_png(7))
    (root / "cats" / ".DS_Store").write_text("x")
    (root / "dogs" / "@eaDir").mkdir()
    (root / "dogs" / "@eaDir" / "thumb.png").write_bytes(make_png(8))

    dataset = open_dataset(str(root))

    assert [example.key for example in dataset] == ["cats/000.png", "dogs/000.png"]
    assert dataset.class_names == ("cats", "dogs")
    assert dataset.ignored == 4


def test_pipe_named_like_a_picture_is_passed_over(make_folder: MakeFolder) -> None:
    root = make_folder({"cats": 1, "dogs": 1})
    os.mkfifo(root / "cats" / "p.jpg")

    dataset = open_dataset(str(root))

    assert [example.key for example in dataset] == ["cats/000.png", "dogs/000.png"]
    assert dataset.ignored == 1


def test_columns_for_a_folder_of_class_folders_are_refused(make_folder: MakeFolder) -> None:
    root = make_folder({"cats": 1, "dogs": 1})

    with pytest.raises(ConfigError, match=r"data.label_column is for tables, and .* is a folder"):
        open_dataset(str(root), SourceOptions(label_column="breed"))


def test_class_folder_whose_name_is_no_text_is_refused(make_folder: MakeFolder) -> None:
    root = make_folder({"cats": 1, "dogs": 1})
    (root / "cats").rename(root / os.fsdecode(b"ca\xffts"))

    with pytest.raises(DatasetError, match="cannot be printed; rename it"):
        open_dataset(str(root))


def test_loop_of_links_ends(make_folder: MakeFolder) -> None:
    root = make_folder({"cats": 2, "dogs": 1})
    (root / "cats" / "again").symlink_to(root / "cats")

    assert open_dataset(str(root)).class_counts() == {"cats": 2, "dogs": 1}


@pytest.mark.parametrize("target", ["pets", "pets/train", "."])
def test_link_back_up_does_not_bring_in_the_other_classes(
    target: str, make_folder: MakeFolder, tmp_path: Path
) -> None:
    root = make_folder({"train/cats": 2, "train/dogs": 1})
    (root / "train" / "cats" / "up").symlink_to(tmp_path / target)

    assert open_dataset(str(root)).class_counts() == {"cats": 2, "dogs": 1}


def test_linked_folder_is_followed(make_folder: MakeFolder, tmp_path: Path) -> None:
    elsewhere = make_folder({"more": 2}, name="elsewhere", first=50)
    root = make_folder({"cats": 1, "dogs": 1})
    (root / "cats" / "more").symlink_to(elsewhere / "more")

    assert open_dataset(str(root)).class_counts() == {"cats": 3, "dogs": 1}


def test_missing_folder_is_refused_with_what_to_give() -> None:
    with pytest.raises(ConfigError, match="no/such/place: no such folder or file. Give a folder"):
        open_dataset("no/such/place")


def test_mistyped_built_in_name_suggests_the_right_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'digits'"):
        open_dataset("digts")


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no sub-folder; put the pictures into one sub-folder"):
        open_dataset(str(tmp_path))


def test_empty_class_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "notes.txt").write_text("x")

    with pytest.raises(DatasetError, match=r"no picture below .*passed over 1 other file"):
        open_dataset(str(tmp_path))


def test_loose_pictures_are_counted_in_the_refusal(tmp_path: Path, make_png: MakePng) -> None:
    for index in range(3):
        (tmp_path / f"{index}.png").write_bytes(make_png(index))

    with pytest.raises(DatasetError, match="3 pictures but no sub-folder"):
        open_dataset(str(tmp_path))


def test_file_instead_of_a_folder_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "pets.zip"
    file.write_bytes(b"PK")

    with pytest.raises(ConfigError, match=r"pets.zip is a file; give a folder"):
        open_dataset(str(file))


def test_built_in_digits_have_ten_classes_and_1797_pictures() -> None:
    dataset = open_dataset("digits")

    assert len(dataset) == 1797
    assert dataset.class_names == tuple("0123456789")
    assert sum(dataset.class_counts().values()) == 1797
    image = decode_picture(dataset[0].read())
    assert image.shape == (8, 8, 3)
    assert image.max() > 200
    assert dataset[0].label == 0


def test_built_in_digits_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    theirs = load_digits()
    ours = read_digits()

    assert [example.label for example in ours] == theirs.target.tolist()
    for example, image in zip(ours[::100], theirs.images[::100], strict=True):
        grey = decode_picture(example.read())[:, :, 0]
        np.testing.assert_array_equal(grey, np.round(image * 255 / 16))


def test_folder_wins_over_a_built_in_name(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folder({"cats": 1, "dogs": 1}, name="digits")
    monkeypatch.chdir(root.parent)

    assert len(open_dataset("digits")) == 2
    assert len(read_digits()) == 1797


def test_one_class_only_is_refused(make_folder: MakeFolder) -> None:
    with pytest.raises(DatasetError, match=r"one class only \(cats\)"):
        prepare_data(str(make_folder({"cats": 9})), DataConfig(), seed=0, cache=None)


def idx(array: NDArray[np.uint8]) -> bytes:
    shape = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, 8, array.ndim]) + shape + array.tobytes()


IMAGES = np.arange(6 * 4 * 5, dtype=np.uint8).reshape(6, 4, 5)
LABELS = np.array([3, 1, 4, 1, 5, 9], np.uint8)


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    root = tmp_path / "mnist"
    root.mkdir()
    for prefix, count in (("train", 6), ("t10k", 2)):
        (root / f"{prefix}-images-idx3-ubyte").write_bytes(idx(IMAGES[:count]))
        (root / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(LABELS[:count]))
    return root


def test_idx_files_are_read_with_their_sides(mnist: Path) -> None:
    dataset = open_dataset(str(mnist))

    assert dataset.class_names == tuple("0123456789")
    assert [example.label for example in dataset] == [3, 1, 4, 1, 5, 9, 3, 1]
    assert [example.side for example in dataset] == ["train"] * 6 + ["test"] * 2
    decoded = decode_picture(dataset[5].read())
    np.testing.assert_array_equal(decoded, np.repeat(IMAGES[5][:, :, None], 3, axis=2))


def test_idx_files_may_be_gzipped(mnist: Path) -> None:
    plain = open_dataset(str(mnist))
    for path in list(mnist.iterdir()):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()

    assert [(one.key, one.label, one.read()) for one in open_dataset(str(mnist))] == [
        (one.key, one.label, one.read()) for one in plain
    ]


@pytest.mark.parametrize("length", [0, 2, 4, 7, 9, 15, 16, 40])
def test_cut_off_idx_file_is_refused(length: int, mnist: Path) -> None:
    path = mnist / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:length])

    with pytest.raises(DatasetError, match=r"train-images-idx3-ubyte is no IDX file .* cut off"):
        open_dataset(str(mnist))


@pytest.mark.parametrize("damage", ["cut", "stream", "no gzip"])
def test_damaged_gzip_is_refused(damage: str, mnist: Path) -> None:
    path = mnist / "train-images-idx3-ubyte"
    data = bytearray(gzip.compress(path.read_bytes()))
    if damage == "cut":
        data = data[:-9]
    elif damage == "stream":
        data[10:20] = b"\xff" * 10
    else:
        data = bytearray(b"no gzip at all")
    path.with_name(path.name + ".gz").write_bytes(data)

    with pytest.raises(DatasetError, match=r"cannot read .*train-images-idx3-ubyte\.gz"):
        open_dataset(str(mnist))


def test_mislabelled_idx_files_are_refused(mnist: Path) -> None:
    images, labels = mnist / "train-images-idx3-ubyte", mnist / "train-labels-idx1-ubyte"
    good_images, good_labels = images.read_bytes(), labels.read_bytes()

    images.write_bytes(good_labels)
    with pytest.raises(DatasetError, match="no IDX file of 3 axes"):
        open_dataset(str(mnist))

    images.write_bytes(good_images)
    labels.write_bytes(idx(LABELS[:5]))
    with pytest.raises(DatasetError, match="6 pictures but 5 labels"):
        open_dataset(str(mnist))

    labels.write_bytes(idx(LABELS + 20))
    with pytest.raises(DatasetError, match="has label 29.*10 classes"):
        open_dataset(str(mnist))

    labels.unlink()
    with pytest.raises(DatasetError, match=r"has no train-labels-idx1-ubyte\.gz"):
        open_dataset(str(mnist))


@pytest.mark.parametrize("shape", [(0, 4, 5), (6, 0, 5)])
def test_idx_files_without_pixels_are_refused(shape: tuple[int, int, int], mnist: Path) -> None:
    (mnist / "train-images-idx3-ubyte").write_bytes(idx(np.zeros(shape, np.uint8)))
    (mnist / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(shape[0], np.uint8)))

    with pytest.raises(DatasetError, match="holds no picture"):
        open_dataset(str(mnist))


def test_idx_header_whose_product_overflows_is_refused(mnist: Path) -> None:
    # 2**16 * 2**24 * 2**24 is 0 in 64 bits, as is the number of bytes that follow.
    header = bytes([0, 0, 8, 3]) + struct.pack(">III", 2**16, 2**24, 2**24)
    (mnist / "train-images-idx3-ubyte").write_bytes(header)

    with pytest.raises(DatasetError, match="GB of pixels"):
        open_dataset(str(mnist))


def test_fashion_mnist_is_read_with_its_names(shared_data: Path) -> None:
    folder = shared_data / "fashion_mnist"
    if not folder.is_dir():
        pytest.skip("no fashion_mnist beside the checkout")

    dataset = open_dataset(str(folder))

    assert dataset.class_names[9] == "ankle boot"
    assert set(dataset.class_counts().values()) == {7000}
    assert sum(example.side == "test" for example in dataset) == 10_000
    assert dataset[0].label == 9  # the first training picture is an ankle boot
    assert decode_picture(dataset[0].read()).shape == (28, 28, 3)
