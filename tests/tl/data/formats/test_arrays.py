import contextlib
import gzip
import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tl.data.decode import decode_picture
from tl.data.sources import open_dataset
from tl.errors import DatasetError, TlError

from .damage import damaged

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3)).astype(np.uint8)
LABELS = [3, 0, 9, 1, 1, 5]


def planes(images: Any) -> Any:
    """As CIFAR stores them: rows of red, green and blue planes."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2).reshape(len(images), 3072))


def write_cifar(folder: Path, kind: str) -> Path:
    folder.mkdir()
    is_100 = "100" in kind
    train = ["train"] if is_100 else [f"data_batch_{n}" for n in range(1, 6)]
    for name in [*train, "test" if is_100 else "test_batch"]:
        if "binary" in kind:
            rows = [
                bytes([7, label] if is_100 else [label]) + row.tobytes()
                for label, row in zip(LABELS, planes(IMAGES), strict=True)
            ]
            (folder / f"{name}.bin").write_bytes(b"".join(rows))
        else:
            key = b"fine_labels" if is_100 else b"labels"
            batch = {b"data": planes(IMAGES), key: LABELS, b"filenames": [b"x.png"] * 6}
            (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    if "binary" in kind:
        file = "fine_label_names.txt" if is_100 else "batches.meta.txt"
        (folder / file).write_text(
            "\n".join(f"c{n}" for n in range(100 if is_100 else 10)) + "\n\n"
        )
    else:
        names = [f"c{n}".encode() for n in range(100 if is_100 else 10)]
        meta = {b"fine_label_names" if is_100 else b"label_names": names}
        (folder / ("meta" if is_100 else "batches.meta")).write_bytes(
            pickle.dumps(meta, protocol=2)
        )
    return folder


@pytest.mark.parametrize("kind", ["10 binary", "10 pickled", "100 binary", "100 pickled"])
def test_cifar_batches_are_read_with_names_and_sides(kind: str, tmp_path: Path) -> None:
    dataset = open_dataset(str(write_cifar(tmp_path / "cifar", kind)))

    batches = 2 if "100" in kind else 6
    assert len(dataset) == 6 * batches
    assert dataset.class_names[:2] == ("c0", "c1")
    assert dataset.labels.tolist() == LABELS * batches
    assert [one.side for one in dataset] == ["train"] * (6 * batches - 6) + ["test"] * 6
    assert len(set(dataset.keys)) == len(dataset)
    for place in (0, 5, len(dataset) - 2):
        np.testing.assert_array_equal(decode_picture(dataset[place].read()), IMAGES[place % 6])


def test_pickle_of_python_2_is_read(tmp_path: Path) -> None:
    """The official files were written by Python 2; protocol 2 with Latin-1 is how 3 writes so."""
    folder = write_cifar(tmp_path / "cifar", "10 pickled")
    batch = {b"data": planes(IMAGES), b"labels": LABELS}
    text = pickle.dumps(batch, protocol=0)
    assert b"_codecs" in text
    (folder / "data_batch_3").write_bytes(text)

    assert len(open_dataset(str(folder))) == 36


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch {self.path}",))


def test_pickle_that_asks_for_code_is_refused_and_not_run(tmp_path: Path) -> None:
    folder = write_cifar(tmp_path / "cifar", "10 pickled")
    for name in ("data_batch_2", "batches.meta"):
        good = (folder / name).read_bytes()
        (folder / name).write_bytes(pickle.dumps({b"data": Evil(tmp_path / "ran")}))
        with pytest.raises(DatasetError, match="was not loaded: it asks for posix.system"):
            open_dataset(str(folder))
        (folder / name).write_bytes(good)

    assert not (tmp_path / "ran").exists()


def test_damaged_cifar_is_refused(tmp_path: Path) -> None:
    folder = write_cifar(tmp_path / "binary", "10 binary")
    path = folder / "data_batch_4.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DatasetError, match=r"data_batch_4\.bin has .* cut off"):
        open_dataset(str(folder))

    path.unlink()
    with pytest.raises(DatasetError, match="has no data_batch_4"):
        open_dataset(str(folder))

    folder = write_cifar(tmp_path / "pickled", "10 pickled")
    for wrong in (
        {b"data": IMAGES, b"labels": LABELS},
        {b"data": planes(IMAGES), b"labels": LABELS[:3]},
        {b"data": planes(IMAGES), b"labels": ["x"] * 6},
        [1, 2],
    ):
        (folder / "test_batch").write_bytes(pickle.dumps(wrong))
        with pytest.raises(DatasetError, match="test_batch is no batch of CIFAR"):
            open_dataset(str(folder))
    (folder / "test_batch").write_bytes(
        pickle.dumps({b"data": planes(IMAGES), b"labels": [*LABELS[:5], 10]})
    )
    with pytest.raises(DatasetError, match="labels from 0 to 10, but 10 class names"):
        open_dataset(str(folder))


@pytest.mark.parametrize("grey", [True, False])
def test_npz_of_keras_is_read_with_its_sides(grey: bool, tmp_path: Path) -> None:
    images = IMAGES[..., 0] if grey else IMAGES
    np.savez(tmp_path / "few.npz", x_train=images, y_train=LABELS,
             x_test=images[:2], y_test=np.array([[1], [2]]))  # fmt: skip

    dataset = open_dataset(str(tmp_path / "few.npz"))

    assert dataset.name == "few"
    assert dataset.class_names == tuple("0123456789")
    assert dataset.labels.tolist() == [*LABELS, 1, 2]
    assert [one.side for one in dataset] == ["train"] * 6 + ["test"] * 2
    want = np.repeat(images[4][..., None], 3, axis=2) if grey else images[4]
    np.testing.assert_array_equal(decode_picture(dataset[4].read()), want)


def test_npz_with_names_and_no_sides_is_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "t.npz", images=IMAGES[..., :1], labels=[0, 1, 0, 1, 0, 1],
                        class_names=["no", "yes"])  # fmt: skip

    dataset = open_dataset(str(tmp_path / "t.npz"))

    assert dataset.class_names == ("no", "yes")
    assert all(one.side is None for one in dataset)
    assert decode_picture(dataset[0].read()).shape == (32, 32, 3)


BAD_ARRAYS: dict[str, tuple[dict[str, Any], str]] = {
    "other names": ({"a": IMAGES}, "holds a; it needs pairs such as x_train and y_train"),
    "floats": ({"x": IMAGES / 255, "y": LABELS}, r"x is float64 .*pictures are uint8"),
    "no pictures": ({"x": IMAGES[:0], "y": LABELS[:0]}, "pictures are uint8"),
    "flat": ({"x": planes(IMAGES), "y": LABELS}, "pictures are uint8"),
    "four channels": ({"x": np.zeros((6, 8, 8, 4), np.uint8), "y": LABELS}, "4 channels"),
    "fewer labels": ({"x": IMAGES, "y": LABELS[:3]}, "one for each of the 6 pictures"),
    "one-hot": ({"x": IMAGES, "y": np.eye(6)}, "labels are integers"),
    "negative": ({"x": IMAGES, "y": [-1, 0, 0, 0, 1, 1]}, "labels are integers from 0"),
    "labels all distinct": ({"x": IMAGES, "y": range(6)}, "label of its own"),
    "too few names": ({"x": IMAGES, "y": LABELS, "class_names": ["a"]}, "label 9, but 1"),
    "objects": ({"x": IMAGES, "y": np.array([Evil(Path("x"))] * 6)}, "no readable .npz of plain"),
    "sizes differ": (
        {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:, :9], "y_test": LABELS},
        "differ in size",
    ),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_bad_npz_is_refused_with_the_reason(case: str, tmp_path: Path) -> None:
    arrays, message = BAD_ARRAYS[case]
    np.savez(tmp_path / "t.npz", **arrays)

    with pytest.raises(DatasetError, match=message):
        open_dataset(str(tmp_path / "t.npz"))


def _good(kind: str) -> bytes:
    if kind == "npz":
        out = io.BytesIO()
        np.savez(out, x=IMAGES[:2, :2, :2], y=np.array([0, 1]))
        return out.getvalue()
    if kind == "pickle":
        return pickle.dumps({b"data": planes(IMAGES[:1]), b"labels": [1]}, protocol=2)
    if kind == "cifar binary":
        return b"\1" + bytes(planes(IMAGES[:1]))
    data = idx_of(IMAGES[:2, :3, :3, 0])
    return gzip.compress(data) if "gzipped" in kind else data


def idx_of(array: Any) -> bytes:
    shape = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, 8, array.ndim]) + shape + bytes(array.tobytes())


def _open_damaged(kind: str, data: bytes, folder: Path) -> None:
    if kind == "npz":
        path = folder / "t.npz"
        path.write_bytes(data)
    elif kind.startswith("idx"):
        path = folder
        for prefix in ("train", "t10k"):
            (path / f"{prefix}-images-idx3-ubyte").write_bytes(idx_of(IMAGES[:2, :3, :3, 0]))
            (path / f"{prefix}-labels-idx1-ubyte").write_bytes(idx_of(np.array([1, 2], np.uint8)))
        name = "train-images-idx3-ubyte"
        (path / (f"{name}.gz" if "gzipped" in kind else name)).write_bytes(data)
    else:
        path = folder / "cifar"
        is_binary = kind == "cifar binary"
        if not path.exists():
            write_cifar(path, "10 binary" if is_binary else "10 pickled")
        (path / ("data_batch_1.bin" if is_binary else "data_batch_1")).write_bytes(data)
    with contextlib.suppress(TlError):
        assert len(open_dataset(str(path))) > 0


@pytest.mark.parametrize("kind", ["npz", "pickle", "cifar binary", "idx", "idx gzipped"])
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_damaged_arrays_raise_nothing_but_the_documented_errors(
    kind: str, data: st.DataObject, tmp_path: Path
) -> None:
    _open_damaged(kind, data.draw(damaged(_good(kind))), tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["npz", "pickle", "cifar binary", "idx", "idx gzipped"])
@given(data=st.data())
@settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
def test_damaged_arrays_ten_thousand_times(kind: str, data: st.DataObject, tmp_path: Path) -> None:
    _open_damaged(kind, data.draw(damaged(_good(kind))), tmp_path)


MakeFolder = Callable[..., Path]


def test_synset_folders_get_their_words_where_an_index_is_beside_them(
    make_folder: MakeFolder,
) -> None:
    root = make_folder({"n01440764": 2, "n02012849": 1, "n03126707": 1, "n09999999": 1})
    assert open_dataset(str(root)).class_names[0] == "n01440764"

    (root / "imagenet_class_index.json").write_text(
        '{"0": ["n01440764", "tench"], "134": ["n02012849", "crane"], '
        '"517": ["n03126707", "crane"]}'
    )
    names = ("tench", "crane (n02012849)", "crane (n03126707)", "n09999999")
    assert open_dataset(str(root)).class_names == names

    (root / "imagenet_class_index.json").write_text("[1, 2]")
    with pytest.raises(DatasetError, match="is no class index"):
        open_dataset(str(root))

    (root / "imagenet_class_index.json").unlink()
    (root / "LOC_synset_mapping.txt").write_text("n01440764 tench, Tinca tinca\n")
    assert open_dataset(str(root)).class_names[0] == "tench"


def test_small_files_that_promise_terabytes_are_refused_before_they_are_unpacked(
    tmp_path: Path,
) -> None:
    root = tmp_path / "mnist"
    root.mkdir()
    for prefix in ("train", "t10k"):
        header = bytes([0, 0, 8, 3]) + struct.pack(">III", 60_000, 60_000, 60_000)
        (root / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + bytes(10**6)))
    with pytest.raises(DatasetError, match=r"holds 216000.0 GB of pixels"):
        open_dataset(str(root))

    # A gzip that goes on for ever after what its header says.
    header = bytes([0, 0, 8, 3]) + struct.pack(">III", 2, 2, 2)
    (root / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + bytes(10**8)))
    with pytest.raises(DatasetError, match="is no IDX file"):
        open_dataset(str(root))


def test_npz_that_promises_more_than_there_is_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tl.data.formats import arrays

    monkeypatch.setattr(arrays, "free_memory", lambda: 10**6)
    np.savez_compressed(tmp_path / "t.npz", x=np.zeros((200, 100, 100), np.uint8), y=[0, 1] * 100)

    with pytest.raises(DatasetError, match=r"and 0.0 GB of memory are free"):
        open_dataset(str(tmp_path / "t.npz"))
    assert zipfile.is_zipfile(tmp_path / "t.npz")


def test_damaged_npz_is_not_answered_with_advice_to_unpickle_it(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    np.savez(path, images=np.array([{"a": 1}], object), labels=[0], allow_pickle=True)

    with pytest.raises(DatasetError, match="an array in it is pickled or damaged") as caught:
        open_dataset(str(path))
    assert "allow_pickle" not in str(caught.value)


def test_npz_with_channels_first_says_what_to_do(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", images=np.zeros((4, 3, 8, 8), np.uint8), labels=[0, 1, 0, 1])

    with pytest.raises(DatasetError, match="8 channels, not 1 or 3; move the channels last"):
        open_dataset(str(tmp_path / "t.npz"))
