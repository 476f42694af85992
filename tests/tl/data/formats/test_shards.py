import contextlib
import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tl.data.formats.options import SourceOptions
from tl.data.sources import open_dataset
from tl.errors import DatasetError, TlError

from .damage import damaged

MakePng = Callable[[int], bytes]


def tar_of(members: list[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize("ending", ["cls", "txt", "json"])
def test_shards_are_read_in_place_with_their_sides(
    ending: str, tmp_path: Path, make_png: MakePng
) -> None:
    def label(number: int) -> bytes:
        name = "owl" if number % 2 else "elk"
        return json.dumps({"label": name, "id": number}).encode() if ending == "json" else (
            f"{name}\n".encode())  # fmt: skip

    folder = tmp_path / "shards"
    folder.mkdir()
    for shard, side in enumerate(("train", "train", "val")):
        members = []
        for number in range(shard * 4, shard * 4 + 4):
            members += [(f"d/{number:04d}.png", make_png(number)),
                        (f"d/{number:04d}.{ending}", label(number))]  # fmt: skip
        (folder / f"{side}-{shard:03d}.tar").write_bytes(tar_of(members))

    dataset = open_dataset(str(folder))

    assert dataset.class_names == ("elk", "owl")
    assert dataset.labels.tolist() == [0, 1] * 6
    assert [one.side for one in dataset] == ["train"] * 8 + ["val"] * 4
    assert dataset[5].key == "train-001.tar/d/0005.png"
    assert [one.read() for one in dataset] == [make_png(number) for number in range(12)]
    assert len({one.stamp() for one in dataset}) == 12
    assert len(open_dataset(str(folder / "val-002.tar"))) == 4


def test_label_of_another_name_and_numbers_are_understood(
    tmp_path: Path, make_png: MakePng
) -> None:
    facts = [json.dumps({"species": number % 3, "label": "x"}).encode() for number in range(6)]
    members = []
    for number, one in enumerate(facts):
        members += [(f"{number}.png", make_png(number)), (f"{number}.json", one)]
    (tmp_path / "t.tar").write_bytes(tar_of(members))

    dataset = open_dataset(str(tmp_path / "t.tar"), SourceOptions(label_column="species"))

    assert dataset.class_names == ("0", "1", "2")
    assert dataset.labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_names_that_lead_outside_do_no_harm(tmp_path: Path, make_png: MakePng) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    members = [("../../evil.png", make_png(1)), ("../../evil.cls", b"a"), ("/abs.png", make_png(2)),
               ("/abs.cls", b"b"), ("c.png", make_png(3)), ("c.cls", b"b")]  # fmt: skip
    (folder / "t.tar").write_bytes(tar_of(members))
    before = sorted(tmp_path.rglob("*"))

    dataset = open_dataset(str(folder / "t.tar"))

    assert [one.read() for one in dataset] == [make_png(number) for number in (1, 2, 3)]
    assert sorted(tmp_path.rglob("*")) == before


def test_links_in_a_shard_are_passed_over(tmp_path: Path, make_png: MakePng) -> None:
    out = io.BytesIO(tar_of([]))
    with tarfile.open(fileobj=out, mode="w") as tar:
        link = tarfile.TarInfo("a.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        for name, data in (("a.cls", b"x"), ("b.png", make_png(1)), ("b.cls", b"x"),
                           ("c.png", make_png(2)), ("c.cls", b"y")):  # fmt: skip
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    (tmp_path / "t.tar").write_bytes(out.getvalue())

    dataset = open_dataset(str(tmp_path / "t.tar"))

    assert [one.key for one in dataset] == ["t.tar/b.png", "t.tar/c.png"]
    assert dataset.skipped == (("t.tar/a", "no picture"),)


def test_bad_shards_are_refused_with_the_reason(tmp_path: Path, make_png: MakePng) -> None:
    good = tar_of([("a.png", make_png(1)), ("a.cls", b"x"), ("b.png", make_png(2) * 9),
                   ("b.cls", b"y")])  # fmt: skip
    cases = {
        "gzip": (gzip.compress(good), "it is compressed; unpack"),
        "text": (b"hello\n" * 300, "cannot read .* as tar"),
        "empty": (b"", "as tar|has no picture"),
        "no labels": (tar_of([("a.png", make_png(1))]), "no picture with a label .1 with one"),
        "bad json": (tar_of([("a.png", make_png(1)), ("a.json", b"{")]), "a.json is no JSON"),
        "label a list": (
            tar_of([("a.png", make_png(1)), ("a.json", b'{"label": [1]}')]), "neither text nor"),
    }  # fmt: skip
    for data, message in cases.values():
        (tmp_path / "t.tar").write_bytes(data)
        with pytest.raises(DatasetError, match=message):
            open_dataset(str(tmp_path / "t.tar"))


def test_shard_that_shrinks_after_it_was_opened_is_reported(
    tmp_path: Path, make_png: MakePng
) -> None:
    path = tmp_path / "t.tar"
    members = [(f"{n}.{e}", make_png(n) if e == "png" else b"xy"[n % 2 : n % 2 + 1])
               for n in range(4) for e in ("png", "cls")]  # fmt: skip
    path.write_bytes(tar_of(members))
    dataset = open_dataset(str(path))
    path.write_bytes(path.read_bytes()[:600])

    with pytest.raises(DatasetError, match="shorter than when it was opened"):
        dataset[3].read()


def _open_damaged(data: bytes, folder: Path) -> None:
    (folder / "t.tar").write_bytes(data)
    with contextlib.suppress(TlError):
        for one in open_dataset(str(folder / "t.tar")):
            one.read()


GOOD = tar_of(
    [("a.png", b"1" * 40), ("a.cls", b"x"), ("b.png", b"2" * 90), ("b.json", b'{"label": 1}')]
)


@given(data=damaged(GOOD))
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_damaged_shards_raise_nothing_but_the_documented_errors(
    data: bytes, tmp_path: Path
) -> None:
    _open_damaged(data, tmp_path)


@pytest.mark.soak
@given(data=damaged(GOOD))
@settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
def test_damaged_shards_ten_thousand_times(data: bytes, tmp_path: Path) -> None:
    _open_damaged(data, tmp_path)
