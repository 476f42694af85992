import hashlib
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tl.data import inspect as inspection
from tl.data.contents import Files, InMemory
from tl.data.example import Example
from tl.data.inspect import cache_folder, inspect_examples
from tl.data.sources import open_dataset
from tl.errors import DatasetError

MakeFolder = Callable[..., Path]
LIMIT = 1_000_000


@pytest.fixture
def examples(make_folder: MakeFolder) -> Sequence[Example]:
    root = make_folder({"cats": 3, "dogs": 2})
    (root / "dogs" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    return open_dataset(str(root))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "tl"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The keys of the test's pictures that are read from now on."""
    keys: list[str] = []
    read = Example.read

    def listen(self: Example) -> bytes:
        # Threads of an earlier test that read ahead may still be at it.
        if self.path is None or tmp_path in self.path.parents:
            keys.append(self.key)
        return read(self)

    monkeypatch.setattr(Example, "read", listen)
    return keys


def test_identity_is_the_sha256_of_the_file(examples: tuple[Example, ...]) -> None:
    looks = inspect_examples(examples, max_pixels=LIMIT)

    for example, look in zip(examples, looks, strict=True):
        if "broken" in example.key:
            assert look.identity == ""
            assert look.fault == "not a picture, or its header is damaged"
        else:
            assert look.identity == hashlib.sha256(example.read()).hexdigest()
            assert (look.height, look.width, look.kind, look.fault) == (8, 8, "png", None)


def test_second_look_reads_nothing(
    examples: tuple[Example, ...], cache: Path, reads: list[str]
) -> None:
    first = inspect_examples(examples, max_pixels=LIMIT, cache=cache)
    assert sorted(reads) == sorted(example.key for example in examples)
    reads.clear()

    assert inspect_examples(examples, max_pixels=LIMIT, cache=cache) == first
    assert reads == []


def test_changed_file_is_looked_at_again(
    examples: tuple[Example, ...], cache: Path, reads: list[str], make_png: Callable[[int], bytes]
) -> None:
    before = inspect_examples(examples, max_pixels=LIMIT, cache=cache)
    reads.clear()
    path = examples[1].path
    assert path is not None
    path.write_bytes(make_png(99))
    os.utime(path, ns=(1, 1))

    after = inspect_examples(examples, max_pixels=LIMIT, cache=cache)

    assert reads == [examples[1].key]
    assert after[1].identity == hashlib.sha256(make_png(99)).hexdigest()
    assert [one for i, one in enumerate(after) if i != 1] == [*before[:1], *before[2:]]


def test_other_limit_is_another_look(examples: tuple[Example, ...], cache: Path) -> None:
    assert inspect_examples(examples, max_pixels=LIMIT, cache=cache)[0].fault is None

    fault = inspect_examples(examples, max_pixels=63, cache=cache)[0].fault

    assert fault is not None
    assert "8 x 8" in fault
    assert inspect_examples(examples, max_pixels=LIMIT, cache=cache)[0].fault is None


def test_broken_cache_is_survived(examples: tuple[Example, ...], cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "inspections.sqlite").write_bytes(b"no database at all" * 100)

    assert inspect_examples(examples, max_pixels=LIMIT, cache=cache) == inspect_examples(
        examples, max_pixels=LIMIT
    )


def test_cache_that_cannot_be_made_is_survived(examples: tuple[Example, ...], cache: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where the folder should be")

    assert len(inspect_examples(examples, max_pixels=LIMIT, cache=cache)) == len(examples)


def test_read_only_cache_is_survived(
    examples: tuple[Example, ...], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = inspect_examples(examples[:2], max_pixels=LIMIT, cache=cache)
    connect = sqlite3.connect

    def read_only(path: Path, timeout: float) -> sqlite3.Connection:
        return connect(f"file:{path}?mode=ro", uri=True, timeout=timeout)

    monkeypatch.setattr(inspection.sqlite3, "connect", read_only)  # type: ignore[attr-defined]

    looks = inspect_examples(examples, max_pixels=LIMIT, cache=cache)

    assert looks[:2] == expected
    assert len(looks) == len(examples)


def test_connections_are_closed(
    examples: tuple[Example, ...], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def listen(path: Path, timeout: float) -> sqlite3.Connection:
        opened.append(connect(path, timeout=timeout))
        return opened[-1]

    monkeypatch.setattr(inspection.sqlite3, "connect", listen)  # type: ignore[attr-defined]
    inspect_examples(examples, max_pixels=LIMIT, cache=cache)
    (cache / "inspections.sqlite").write_bytes(b"no database at all" * 100)
    inspect_examples(examples, max_pixels=LIMIT, cache=cache)

    assert len(opened) == 4
    for connection in opened:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")


def test_no_examples_give_no_inspections(cache: Path) -> None:
    assert inspect_examples([], max_pixels=LIMIT, cache=cache) == []


def test_pictures_in_memory_are_not_remembered(
    cache: Path, reads: list[str], make_png: Callable[[int], bytes]
) -> None:
    example = Example("digits/0.png", 0, InMemory([make_png(1)]))
    inspect_examples([example], max_pixels=LIMIT, cache=cache)

    inspect_examples([example], max_pixels=LIMIT, cache=cache)

    assert reads == ["digits/0.png"] * 2


def test_file_that_could_not_be_read_is_tried_again(
    examples: tuple[Example, ...], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Example) -> bytes:
        raise DatasetError(f"cannot read {self.key}: Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Example, "read", refuse)
        first = inspect_examples(examples[:1], max_pixels=LIMIT, cache=cache)
    assert first[0].fault == "cannot read cats/000.png: Permission denied"

    second = inspect_examples(examples[:1], max_pixels=LIMIT, cache=cache)

    assert second[0].fault is None


def test_missing_file_is_a_fault(tmp_path: Path, cache: Path) -> None:
    gone = Example("a/gone.png", 0, Files(tmp_path, ["gone.png"]))

    look = inspect_examples([gone], max_pixels=LIMIT, cache=cache)[0]

    assert look.fault is not None
    assert "cannot read a/gone.png: No such file" in look.fault


def test_name_that_is_no_unicode_is_survived(
    tmp_path: Path, cache: Path, make_png: Callable[[int], bytes]
) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.png")  # Latin-1, from an old archive
    path.write_bytes(make_png(1))

    for _ in range(2):
        look = inspect_examples(
            [Example("café", 0, Files(path.parent, [path.name]))], max_pixels=LIMIT, cache=cache
        )[0]
        assert look.fault is None


def test_progress_counts_what_had_to_be_read(examples: tuple[Example, ...], cache: Path) -> None:
    told: list[int] = []
    inspect_examples(examples[:4], max_pixels=LIMIT, cache=cache)

    inspect_examples(examples, max_pixels=LIMIT, cache=cache, on_progress=told.append)

    assert told == [1, 2]


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"TL_CACHE_DIR": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/tl"),
        ({}, "~/.cache/tl"),
    ],
)
def test_cache_folder_follows_the_environment(environ: dict[str, str], folder: str) -> None:
    assert cache_folder(environ) == Path(folder).expanduser()
