import base64
import contextlib
import hashlib
import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tl.data.example import Dataset
from tl.data.formats.options import SourceOptions
from tl.data.sources import open_dataset
from tl.errors import ConfigError, DatasetError, TlError

from .damage import damaged

MakePng = Callable[[int], bytes]
HEADER = "path,label,split,group,weight,note"
ROWS = (
    ("a/0.png", "cat", "train", "g1", 1.0),
    ("a/1.png", "dog", "val", None, 0.5),
    ("b/2.png", "cat", None, "g2", 2.0),
    ("b/3.png", "cat", "test", "g1", None),
)


@pytest.fixture
def root(tmp_path: Path, make_png: MakePng) -> Path:
    """Four pictures, without a table."""
    for number, (name, *_) in enumerate(ROWS):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(make_png(number))
    return tmp_path


def as_csv(delimiter: str) -> str:
    lines = [HEADER.replace(",", delimiter)]
    lines += [delimiter.join("" if v is None else str(v) for v in (*row, "n")) for row in ROWS]
    return "\n".join(lines) + "\n"


def records() -> list[dict[str, Any]]:
    names = HEADER.split(",")
    return [dict(zip(names, (*row, "n"), strict=True)) for row in ROWS]


def write_table(root: Path, kind: str) -> Path:
    path = root / f"pictures{kind.split()[0]}"
    if kind == ".parquet":
        pq.write_table(pa.Table.from_pylist(records()), path)
    elif kind == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in records()))
    else:
        delimiters = {".csv": ",", ".tsv": "\t", ".csv semicolon": ";", ".csv pipe": "|"}
        path.write_text(as_csv(delimiters[kind]))
    return path


def opened(path: Path, **options: Any) -> Dataset:
    return open_dataset(str(path), SourceOptions(**options))


KINDS = [".csv", ".tsv", ".csv semicolon", ".csv pipe", ".parquet", ".jsonl"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_table_says_the_same(kind: str, root: Path, make_png: MakePng) -> None:
    dataset = opened(write_table(root, kind))

    assert dataset.name == "pictures"
    assert dataset.class_names == ("cat", "dog")
    assert [(one.key, one.label, one.side, one.group, one.weight) for one in dataset] == [
        ("a/0.png", 0, "train", "g1", 1.0), ("a/1.png", 1, "val", None, 0.5),
        ("b/2.png", 0, None, "g2", 2.0), ("b/3.png", 0, "test", "g1", 1.0),
    ]  # fmt: skip
    assert [one.read() for one in dataset] == [make_png(number) for number in range(4)]
    assert dataset[2].path == root / "b/2.png"
    assert dataset.class_counts() == {"cat": 3, "dog": 1}


def test_a_slice_is_a_smaller_dataset_and_survives_pickling(root: Path) -> None:
    dataset = opened(write_table(root, ".csv"))

    part = pickle.loads(pickle.dumps(dataset[1:3]))

    assert [one.key for one in part] == ["a/1.png", "b/2.png"]
    assert part.class_names == dataset.class_names
    assert part[1].read() == dataset[2].read()


def test_other_names_of_columns_are_found_or_named_by_the_user(root: Path) -> None:
    (root / "t.csv").write_text("Filename,Species,class\na/0.png,owl,1\na/1.png,elk,2\n"
                                "b/2.png,elk,2\n")  # fmt: skip

    assert opened(root / "t.csv").class_names == ("1", "2")
    assert opened(root / "t.csv", label_column="Species").class_names == ("elk", "owl")
    with pytest.raises(ConfigError, match="no such column, it has Filename.*did you mean 'Species"):
        opened(root / "t.csv", label_column="species_")


def test_labels_that_are_integers_are_ordered_by_size(root: Path) -> None:
    (root / "t.csv").write_text("path,label\na/0.png,10\na/1.png,9\nb/2.png,9\n")

    dataset = opened(root / "t.csv")

    assert dataset.class_names == ("9", "10")
    assert dataset.labels.tolist() == [1, 0, 0]


@pytest.mark.parametrize("kind", [".csv", ".jsonl", ".parquet"])
def test_several_labels_a_picture(kind: str, root: Path) -> None:
    rows = [("a/0.png", ["sea", "sky"]), ("a/1.png", ["sky"]), ("b/2.png", ["sea", "sun", "sky"])]
    path = root / f"t{kind}"
    if kind == ".csv":
        path.write_text("path,labels\n" + "".join(f"{n},{'|'.join(v)}\n" for n, v in rows))
    elif kind == ".jsonl":
        path.write_text("".join(json.dumps({"path": n, "labels": v}) + "\n" for n, v in rows))
    else:
        pq.write_table(pa.Table.from_pylist([{"path": n, "labels": v} for n, v in rows]), path)

    dataset = opened(path)

    assert dataset.class_names == ("sea", "sky", "sun")
    assert [one.labels for one in dataset] == [(0, 1), (1,), (0, 1, 2)]
    assert dataset.class_counts() == {"sea": 2, "sky": 3, "sun": 1}


@pytest.mark.parametrize("shape", ["binary", "hugging face", "base64"])
def test_bytes_in_the_table(shape: str, tmp_path: Path, make_png: MakePng) -> None:
    pictures = [make_png(number) for number in range(700)]
    labels = [number % 3 for number in range(700)]
    path = tmp_path / ("t.jsonl" if shape == "base64" else "t.parquet")
    if shape == "base64":
        path.write_text("".join(
            json.dumps({"bytes": base64.b64encode(one).decode(), "label": label}) + "\n"
            for one, label in zip(pictures, labels, strict=True)
        ))  # fmt: skip
    elif shape == "binary":
        pq.write_table(pa.table({"image_bytes": pictures, "label": labels}), path,
                       row_group_size=100)  # fmt: skip
    else:
        names = {"info": {"features": {"label": {"names": ["ape", "bat", "cat"]}}}}
        cells = [{"bytes": one, "path": None} for one in pictures]
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        table = pa.table({"image": pa.array(cells, kind), "label": labels})
        pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(names)}), path)
    cache = tmp_path / "cache"

    dataset = opened(path, cache=cache)

    assert dataset.class_names == (("ape", "bat", "cat") if "face" in shape else ("0", "1", "2"))
    for row in (699, 0, 512, 3):
        assert dataset[row].read() == pictures[row]
        assert dataset[row].label == labels[row]
    assert dataset[5].key == "row 6"
    again = pickle.loads(pickle.dumps(opened(path, cache=cache)))
    assert again[7].read() == pictures[7]
    assert len(list((cache / "tables").iterdir())) == 1


def test_a_changed_table_is_not_answered_from_the_old_copy(
    tmp_path: Path, make_png: MakePng
) -> None:
    path = tmp_path / "t.parquet"
    for first in (0, 50):
        rows = [make_png(first + number) for number in range(4)]
        pq.write_table(pa.table({"bytes": rows, "label": ["a", "b", "a", "b"]}), path)

        assert [one.read() for one in opened(path, cache=tmp_path / "cache")] == rows


def test_rows_without_path_or_label_are_passed_over_and_counted(root: Path) -> None:
    (root / "t.csv").write_text("path,label\na/0.png,x\n,x\na/1.png,\nb/2.png,x\nb/3.png,y\n")

    dataset = opened(root / "t.csv")

    assert [one.key for one in dataset] == ["a/0.png", "b/2.png", "b/3.png"]
    assert dataset.skipped == (("row 2", "no path or no label"), ("row 3", "no path or no label"))


def test_bytes_stay_with_their_labels_where_rows_are_passed_over(
    tmp_path: Path, make_png: MakePng
) -> None:
    pictures = [make_png(number) for number in range(5)]
    pq.write_table(pa.table({"bytes": pictures, "label": ["x", None, "y", "x", "x"]}),
                   tmp_path / "t.parquet")  # fmt: skip

    dataset = opened(tmp_path / "t.parquet", cache=tmp_path / "cache")

    assert [one.read() for one in dataset] == [pictures[row] for row in (0, 2, 3, 4)]
    assert [one.key for one in dataset] == ["row 1", "row 3", "row 4", "row 5"]


@pytest.mark.parametrize(
    "name", ["../out.png", "a/../../out.png", "/etc/passwd", "..\\out.png", "C:\\x.png"]
)
def test_paths_that_leave_the_folder_are_refused(name: str, root: Path) -> None:
    (root.parent / "out.png").write_bytes(b"secret")
    (root / "t.csv").write_text(f"path,label\na/0.png,x\n{name},y\nb/2.png,y\n")

    with pytest.raises(DatasetError, match=r"row 2 names .* outside of .*data\.root"):
        opened(root / "t.csv")


def test_paths_that_only_look_like_leaving_are_read(root: Path) -> None:
    (root / "t.csv").write_text(f"path,label\nb/../a/0.png,x\n{root}/a/1.png,y\nb/2.png,y\n")

    assert len([one.read() for one in opened(root / "t.csv")]) == 3


def test_paths_may_start_from_another_folder(root: Path, tmp_path_factory: Any) -> None:
    table = tmp_path_factory.mktemp("tables") / "t.csv"
    table.write_text("path,label\na/0.png,x\na/1.png,y\nb/2.png,y\n")

    assert len([one.read() for one in opened(table, root=root)]) == 3


HASH = hashlib.sha256(b"x").hexdigest()


def test_name_that_no_file_can_have_is_a_picture_that_cannot_be_read(root: Path) -> None:
    rows = [{"path": name, "label": "x"} for name in ("a/0.png", "b/\0.png")]
    (root / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    dataset = opened(root / "t.jsonl")

    assert dataset[1].stamp() is None
    with pytest.raises(DatasetError, match="no name that a file can have"):
        dataset[1].read()


def test_empty_text_is_no_label(root: Path) -> None:
    rows = [("a/0.png", "x"), ("a/1.png", ""), ("b/2.png", "  "), ("b/3.png", "y"), ("", "y")]
    text = "".join(json.dumps({"path": path, "label": label}) + "\n" for path, label in rows)
    (root / "t.jsonl").write_text(text)

    dataset = opened(root / "t.jsonl")

    assert dataset.class_names == ("x", "y")
    assert [place for place, _ in dataset.skipped] == ["row 2", "row 3", "row 5"]


def test_what_a_terminal_obeys_is_not_passed_on(root: Path) -> None:
    (root / "t.csv").write_text("path,label\n\x1b]0;pwn\x07\x1b[31mRED,a,b\n")

    with pytest.raises(DatasetError, match="RED") as caught:
        opened(root / "t.csv")

    assert str(caught.value).isprintable()


BAD_TABLES: dict[str, tuple[str, str]] = {
    "empty": ("", "cannot read|one column"),
    "header only": ("path,label\n", "has no rows"),
    "one column": ("path\na/0.png\n", "has one column .'path'"),
    "wrong delimiter": ("path:label\na/0.png:x\n", "has one column .'path:label'.*between them"),
    "no path column": ("of,label\na/0.png,x\n", "no column of the paths: it has of"),
    "no label column": ("path,species\na/0.png,x\n", "no column of the classes.*label_column"),
    "labels all distinct": (
        "path,label\n" + "".join(f"a/{n}.png,a/{n}.png\n" for n in range(9)),
        "each of the 9 pictures has a label of its own .*file's name",
    ),
    "ragged": ("path,label\na/0.png,x\na/1.png\n", "as CSV: .*Expected 2 columns, got 1"),
    "column twice": ("path,label,label\na/0.png,x,y\n", "two columns called 'label'"),
    "unknown split": ("path,label,split\na/0.png,x,holdout\n", "row 1 has split 'holdout'"),
    "weight a word": ("path,label,weight\na/0.png,x,heavy\n", "weight is no number.*heavy"),
    "weight negative": ("path,label,weight\na/0.png,x,1\nb,x,-1\n", "row 2 has weight -1"),
    "weight nan": ("path,label,weight\na/0.png,x,nan\n", "row 1 has weight nan"),
    "weights all 0": ("path,label,weight\na/0.png,x,0\nb,x,0\n", "all weights are 0"),
    "hash too short": ("path,label,sha256\na/0.png,x,abc\n", "row 1 has sha256 'abc'"),
    "no usable row": ("path,label\n,x\na/0.png,\n", "no row has both"),
    "label of control signs": (
        'path,label\na/0.png,"x\x07"\na/1.png,y\nb/2.png,y\n', "cannot be printed"),
    "nothing among labels": ("path,labels\na/0.png,|\n", "row 1 has no label"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_TABLES)
def test_bad_table_is_refused_with_the_reason(case: str, root: Path) -> None:
    text, message = BAD_TABLES[case]
    (root / "t.csv").write_text(text)

    with pytest.raises(DatasetError, match=message):
        opened(root / "t.csv")


def test_bad_encodings_and_contents_are_refused(root: Path) -> None:
    for name, data in {
        "latin1.csv": "path,label\na/0.png,Käse\na/1.png,y\n".encode("latin1"),
        "zip.csv": b"PK\x03\x04\0\0\0\0path,label\n",
        "text.parquet": b"path,label\n",
        "cut.parquet": b"PAR1\0\0\0\0PAR1",
        "text.jsonl": b"path,label\n",
        "half.jsonl": b'{"path": "a/0.png", "label": "x"}\n{"path": "a/1.p',
        "words.jsonl": b'{"bytes": "not base64!", "label": "x"}\n',
    }.items():
        (root / name).write_bytes(data)
        with pytest.raises(DatasetError):
            opened(root / name, cache=root / "cache")


def test_byte_order_mark_and_windows_line_ends_are_read(root: Path) -> None:
    text = "\ufeffpath,label\r\na/0.png,x\r\na/1.png,y\r\nb/2.png,y\r\n"
    (root / "t.csv").write_bytes(text.encode())

    assert opened(root / "t.csv").class_names == ("x", "y")


def test_copy_that_cannot_be_written_is_named(tmp_path: Path, make_png: MakePng) -> None:
    (tmp_path / "cache").write_text("a file")
    pq.write_table(pa.table({"bytes": [make_png(1)] * 3, "label": ["x", "y", "y"]}),
                   tmp_path / "t.parquet")  # fmt: skip

    with pytest.raises(DatasetError, match="cannot copy the pictures .* TL_CACHE_DIR"):
        opened(tmp_path / "t.parquet", cache=tmp_path / "cache")


def test_folder_with_a_table_and_no_classes_points_to_it(root: Path) -> None:
    for name in ("a", "b"):
        for path in (root / name).iterdir():
            path.rename(root / path.name)
        (root / name).rmdir()
    write_table(root, ".csv")

    with pytest.raises(DatasetError, match=r"but a table: pass --dataset .*pictures\.csv"):
        opened(root)


def _good_files() -> dict[str, bytes]:
    table = pa.Table.from_pylist(
        [{"path": f"{n}.png", "label": "ab"[n % 2], "bytes": bytes([n])} for n in range(4)]
    )
    out = io.BytesIO()
    pq.write_table(table, out)
    lines = "".join(json.dumps({"path": f"{n}.png", "label": "ab"[n % 2]}) + "\n" for n in range(4))
    return {
        ".csv": b"path,label\n0.png,a\n1.png,b\n2.png,b\n",
        ".jsonl": lines.encode(),
        ".parquet": out.getvalue(),
    }


def _open_damaged(kind: str, data: bytes, folder: Path) -> None:
    path = folder / f"t{kind}"
    path.write_bytes(data)
    with contextlib.suppress(TlError):
        for one in opened(path, cache=folder / "cache"):
            one.stamp()
            with contextlib.suppress(DatasetError):
                one.read()


@pytest.mark.parametrize("kind", [".csv", ".jsonl", ".parquet"])
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_damaged_tables_raise_nothing_but_the_documented_errors(
    kind: str, data: st.DataObject, tmp_path: Path
) -> None:
    _open_damaged(kind, data.draw(damaged(_good_files()[kind])), tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("kind", [".csv", ".jsonl", ".parquet"])
@given(data=st.data())
@settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
def test_damaged_tables_ten_thousand_times(kind: str, data: st.DataObject, tmp_path: Path) -> None:
    _open_damaged(kind, data.draw(damaged(_good_files()[kind])), tmp_path)


def test_column_of_bytes_that_ends_early_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Found by the soak: a changed byte in the page header of a Parquet file does this.
    from tl.data.formats import table

    whole = table._cells
    monkeypatch.setattr(table, "_cells", lambda *of: (piece[:3] for piece in whole(*of)))
    path = root / "t.parquet"
    pq.write_table(pa.table({"image": [b"1", b"2", b"3", b"4"], "label": list("abab")}), path)

    with pytest.raises(DatasetError, match=r"t.parquet is damaged: 3 of 4 rows have 'image'"):
        open_dataset(str(path), SourceOptions(cache=root / "cache"))
    assert not list((root / "cache").rglob("*.arrow"))


@pytest.mark.slow
def test_million_rows_open_and_split_in_seconds_and_within_a_gigabyte(tmp_path: Path) -> None:
    import subprocess
    import sys

    count = 1_000_000
    labels = np.random.default_rng(0).integers(0, 1000, count)
    pq.write_table(
        pa.table({"path": [f"{n // 1000:04d}/{n:07d}.jpg" for n in range(count)],
                  "label": [f"class {label:03d}" for label in labels]}),
        tmp_path / "t.parquet",
    )  # fmt: skip
    script = (
        "import re, sys, time\n"
        "from pathlib import Path\n"
        "from tl.config import DataConfig\n"
        "from tl.data.prepare import prepare_data\n"
        "began = time.perf_counter()\n"
        "config = DataConfig(max_unreadable_fraction=1)\n"  # there are no such files
        "data = prepare_data(sys.argv[1], config, seed=0, cache=None)\n"
        "assert len(data.side('train', 'val', 'test')) == 1_000_000\n"
        "seconds = time.perf_counter() - began\n"
        # Not ru_maxrss: a forked process starts with the most that all of pytest ever held.
        "peak = re.search(r'VmHWM:\\s+(\\d+) kB', Path('/proc/self/status').read_text())[1]\n"
        "print(seconds, peak)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "t.parquet")],
                          capture_output=True, text=True, check=True)  # fmt: skip
    seconds, kilobytes = map(float, done.stdout.split())
    print(f"opened and split in {seconds:.1f} s, {kilobytes / 1e6:.2f} GB")  # noqa: T201 - the figure to quote
    assert kilobytes < 1_000_000
    assert seconds < 30


@pytest.mark.parametrize("name", ["Image Path", "image-path", "IMAGE_PATH", " path "])
def test_columns_are_found_however_their_names_are_spelt(name: str, root: Path) -> None:
    (root / "t.csv").write_text(f"{name},Class Name\na/0.png,cat\na/1.png,dog\nb/2.png,cat\n")

    keys = [one.key for one in open_dataset(str(root / "t.csv"))]

    assert keys == ["a/0.png", "a/1.png", "b/2.png"]


def test_lists_of_one_label_each_are_plain_labels(root: Path) -> None:
    lines = [{"path": name, "labels": [label]} for name, label, *_ in ROWS]
    (root / "t.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    dataset = open_dataset(str(root / "t.jsonl"))

    assert dataset.label_sets is None
    assert [dataset.class_names[label] for label in dataset.labels] == [row[1] for row in ROWS]
