"""Tables with a picture a row: CSV, TSV, Parquet and JSON Lines.

A row names its picture by a path, or holds its bytes. Only the columns of labels and names are
read when the table is opened; bytes are copied once into a memory-mapped file of the cache, where
any row can be read at once (Parquet and JSON have no access by row).
"""

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tl.data.contents import ArrowColumn, Contents, Files
from tl.data.example import Column, Dataset, column
from tl.data.formats.folder import SIDE_FOLDERS
from tl.data.formats.labels import (
    hugging_face_names,
    number_label_sets,
    number_labels,
    read_numbers,
)
from tl.data.formats.options import SourceOptions
from tl.errors import ConfigError, DatasetError, nearest
from tl.written_aside import written_aside

# What each column may be called, the first that is there counts.
PATHS = ("path", "file", "filename", "file_name", "filepath", "image_path", "image")
BYTES = ("bytes", "image_bytes", "image")
LABELS = ("label", "labels", "class", "category", "class_name", "target")
VALUES = (*LABELS, "value")  # of numbers to be learned
SIDES = ("split", "side", "subset")
GROUPS = ("group", "group_id")
WEIGHTS = ("weight", "sample_weight")
IDENTITIES = ("sha256",)
SEPARATOR = "|"  # between several labels in one cell of text
DELIMITERS = ",;\t|"
_ROWS_AT_ONCE = 256  # of bytes, when they are copied
_JSON_BLOCK = 1 << 26  # the longest line that Arrow reads
_OUTSIDE = r"(^[/\\~])|(^[A-Za-z]:)|((^|[/\\])\.\.([/\\]|$))"


def read_table(path: Path, options: SourceOptions) -> Dataset:
    """Read a table by the ending of its name.

    Raises:
        ConfigError: a column that the user named is not there.
        DatasetError: no such columns, values that cannot be used, or a damaged file.
    """
    try:
        table, raw = _LOADERS[path.suffix.lower()](path)
        if not len(table):
            raise DatasetError(f"{path} has no rows")
        return _Table(path, table, raw, options).dataset()
    except (pa.ArrowException, OSError, UnicodeError, OverflowError) as error:
        # Arrow reads some damage without a word and stumbles over it later.
        reason = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        # It quotes the file, which may hold what a terminal obeys.
        shown = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in reason)
        raise DatasetError(f"cannot read {path} as {path.suffix[1:].upper()}: {shown}") from error


Cells = Callable[[], Iterator[pa.Array]]
Loaded = tuple[pa.Table, dict[str, Cells]]
"""The columns of names and numbers, and how to read those of bytes, in pieces."""


def _load_csv(path: Path) -> Loaded:
    with path.open("rb") as file:
        header = file.readline(1 << 20)
    if b"\0" in header:
        raise DatasetError(f"{path} is no text; a table of this ending is UTF-8")
    delimiter = max(DELIMITERS, key=lambda one: header.count(one.encode()))
    if path.suffix.lower() == ".tsv":
        delimiter = "\t"
    parse = pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    names = pa.csv.open_csv(path, parse_options=parse).schema.names
    if len(names) < 2:
        raise DatasetError(
            f"{path} has one column ({', '.join(names)!r}); its first line "
            f"names the columns, with {' '.join(map(repr, DELIMITERS))} between them"
        )
    convert = pa.csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
    )
    return pa.csv.read_csv(path, parse_options=parse, convert_options=convert), {}


def _load_json_lines(path: Path) -> Loaded:
    table = pa.json.read_json(path, pa.json.ReadOptions(block_size=_JSON_BLOCK))
    raw: dict[str, Cells] = {}
    for name in BYTES:
        if name in table.column_names and name not in PATHS and _is_text(table.schema.field(name)):
            raw[name] = partial(_decoded, table.column(name), path)
            table = table.drop_columns([name])
    return table, raw


def _decoded(cells: pa.ChunkedArray, path: Path) -> Iterator[pa.Array]:
    """Decode base64, some rows at a time."""
    for start in range(0, len(cells), _ROWS_AT_ONCE):
        decoded = []
        for offset, cell in enumerate(cells.slice(start, _ROWS_AT_ONCE).to_pylist()):
            try:
                decoded.append(None if cell is None else base64.b64decode(cell, validate=True))
            except (binascii.Error, ValueError) as error:
                raise DatasetError(
                    f"{path}: the bytes of row {start + offset + 1} are not base64 ({error})"
                ) from error
        yield pa.array(decoded, pa.binary())


def _load_parquet(path: Path) -> Loaded:
    file = pq.ParquetFile(path)
    schema = file.schema_arrow
    raw: dict[str, Cells] = {}
    kept: list[str] = []
    for field in schema:
        if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            raw[field.name] = partial(_cells, file, field.name, None)
        elif _is_picture_struct(field):
            raw[field.name] = partial(_cells, file, field.name, "bytes")
        else:
            kept.append(field.name)
    return file.read(columns=kept).replace_schema_metadata(schema.metadata), raw


def _is_picture_struct(field: pa.Field) -> bool:
    """Tell the way that Hugging Face's datasets store pictures: bytes and path."""
    return pa.types.is_struct(field.type) and any(
        inner.name == "bytes" and pa.types.is_binary(inner.type) for inner in field.type
    )


def _cells(file: pq.ParquetFile, name: str, inner: str | None) -> Iterator[pa.Array]:
    for batch in file.iter_batches(_ROWS_AT_ONCE, columns=[name]):
        cells = batch.column(0)
        yield (cells if inner is None else pc.struct_field(cells, inner)).cast(pa.binary())


_LOADERS: dict[str, Callable[[Path], Loaded]] = {
    ".csv": _load_csv,
    ".tsv": _load_csv,
    ".parquet": _load_parquet,
    ".jsonl": _load_json_lines,
    ".ndjson": _load_json_lines,
}


class _Table:
    """One open table on its way to a dataset."""

    def __init__(
        self, path: Path, table: pa.Table, raw: dict[str, Cells], options: SourceOptions
    ) -> None:
        names = [*table.column_names, *raw]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise DatasetError(f"{path} has two columns called {repeated[0]!r}")
        self._path, self._table, self._raw, self._options = path, table, raw, options
        self._names = names

    def dataset(self) -> Dataset:
        numeric = self._options.problem == "regression"
        usual, what = (VALUES, "numbers") if numeric else (LABELS, "the classes")
        label_column = self._find(usual, self._options.label_column, "label_column", what)
        bytes_column = next((name for name in BYTES if name in self._raw), None) or next(
            iter(self._raw), None
        )
        path_column = self._optional(PATHS) if self._options.path_column is None else None
        if self._options.path_column is not None or (path_column is None and not bytes_column):
            path_column = self._find(PATHS, self._options.path_column, "path_column", "the paths")
        cells = self._table.column(label_column)
        usable = self._usable(cells, None if bytes_column else path_column)
        keys, contents = self._contents(path_column, bytes_column, usable)
        values = self._values(label_column, usable) if numeric else None
        class_names, labels, label_sets = (
            self._labels(label_column, usable)
            if values is None
            else ((label_column,), np.zeros(len(values), np.int32), None)
        )
        lost = np.flatnonzero(~usable)
        return Dataset(
            name=self._path.stem,
            class_names=class_names,
            keys=keys,
            labels=labels,
            contents=contents,
            rows=np.arange(len(keys)) if not bytes_column else np.flatnonzero(usable),
            sides=self._sides(usable),
            groups=self._texts(GROUPS, usable),
            weights=self._weights(usable),
            identities=self._identities(usable),
            label_sets=label_sets,
            values=values,
            skipped=tuple((f"row {row + 1}", "no path or no label") for row in lost),
        )

    def _find(self, usual: Sequence[str], named: str | None, setting: str, what: str) -> str:
        if named is not None:
            if named in self._table.column_names:
                return named
            raise ConfigError(
                f"data.{setting} = {named!r}: {self._path} has no such column, it has "
                f"{', '.join(self._names)}; {nearest(named, self._names)}"
            )
        found = self._optional(usual)
        if found is None:
            raise DatasetError(
                f"{self._path} has no column of {what}: it has {', '.join(self._names)}. Usual "
                f"names: {', '.join(usual)}; name another with --set data.{setting}=..."
            )
        return found

    def _optional(self, usual: Sequence[str]) -> str | None:
        plain = {
            re.sub(r"[\s-]+", "_", name.strip().lower()): name
            for name in reversed(self._table.column_names)
        }
        return next((plain[name] for name in usual if name in plain), None)

    def _usable(self, labels: pa.ChunkedArray, path_column: str | None) -> NDArray[np.bool_]:
        usable = _is_given(labels)
        if path_column is not None:
            usable = pc.and_(usable, _is_given(self._table.column(path_column)))
        array: NDArray[np.bool_] = usable.to_numpy()
        if not array.any():
            raise DatasetError(f"{self._path}: no row has both a picture and a label")
        return array

    def _contents(
        self, path_column: str | None, bytes_column: str | None, usable: NDArray[np.bool_]
    ) -> tuple[Column, Contents]:
        if bytes_column is not None:
            keys = column([f"row {row + 1}" for row in np.flatnonzero(usable)])
            copied = _copy_bytes(self._path, bytes_column, self._raw[bytes_column], len(usable),
                                 self._options.cache)  # fmt: skip
            return keys, ArrowColumn(copied, self._path)
        assert path_column is not None
        cells = self._table.column(path_column)
        if not _is_text(self._table.schema.field(path_column)):
            raise DatasetError(f"{self._path}: column {path_column!r} is {cells.type}, not text")
        root = self._options.root or self._path.parent
        self._refuse_outside(cells, root)
        keys = cells.to_numpy()[usable]
        return keys, Files(root, keys)

    def _refuse_outside(self, cells: pa.ChunkedArray, root: Path) -> None:
        """Refuse paths that leave the root, so that a table from elsewhere reads nothing else."""
        inside = os.path.realpath(root)
        for row in np.flatnonzero(
            pc.match_substring_regex(cells, _OUTSIDE).fill_null(False).to_numpy()
        ):
            name = cells[int(row)].as_py()
            path = os.path.realpath(root / name)
            if "\\" in name or not (path == inside or path.startswith(inside.rstrip("/") + "/")):
                raise DatasetError(
                    f"{self._path}: row {row + 1} names {name!r}, which lies outside of {inside}; "
                    "write paths relative to it, or set data.root to a folder that holds them all"
                )

    def _labels(
        self, name: str, usable: NDArray[np.bool_]
    ) -> tuple[tuple[str, ...], NDArray[np.int32], Column | None]:
        cells = self._table.column(name).filter(pa.array(usable))
        where = f"{self._path}, column {name!r}"
        kind = cells.type
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            return number_label_sets(cells.to_pylist(), where)
        if name.lower() == "labels" and pa.types.is_string(kind):
            return number_label_sets([_split(text) for text in cells.to_pylist()], where)
        if not (pa.types.is_integer(kind) or _is_text(self._table.schema.field(name))):
            raise DatasetError(
                f"{where} is {kind}; labels are text or integers, or "
                "numbers with --problem regression"
            )
        given = hugging_face_names(self._table.schema.metadata, name)
        if given and pa.types.is_integer(kind):
            numbers = cells.to_numpy()
            if numbers.min() < 0 or numbers.max() >= len(given):
                raise DatasetError(f"{where} has label {numbers.max()}, but {len(given)} names")
            return given, numbers.astype(np.int32), None
        names, labels = number_labels(cells.to_pylist(), where)
        return names, labels, None

    def _values(self, name: str, usable: NDArray[np.bool_]) -> NDArray[np.float32]:
        cells = self._table.column(name).filter(pa.array(usable)).to_pylist()
        rows = np.flatnonzero(usable) + 1
        return read_numbers(cells, lambda at: f"{self._path}, row {rows[at]}: column {name!r}")

    def _sides(self, usable: NDArray[np.bool_]) -> Column | None:
        found = self._texts(SIDES, usable)
        if found is None:
            return None
        sides = {value: SIDE_FOLDERS.get(str(value).strip().lower()) for value in set(found)}
        for value, side in sides.items():
            if side is None and value is not None:
                row = int(np.flatnonzero(found == value)[0]) + 1
                raise DatasetError(
                    f"{self._path}: row {row} has split {value!r}; it is one of "
                    f"{', '.join(sorted(SIDE_FOLDERS))}, or empty"
                )
        return column([sides[value] for value in found])

    def _texts(self, usual: Sequence[str], usable: NDArray[np.bool_]) -> Column | None:
        name = self._optional(usual)
        if name is None:
            return None
        values: Column = self._table.column(name).cast(pa.string()).to_numpy()[usable]
        return values

    def _weights(self, usable: NDArray[np.bool_]) -> NDArray[np.float32] | None:
        texts = self._texts(WEIGHTS, usable)
        if texts is None:
            return None
        try:
            weights = np.array([1.0 if text is None else float(text) for text in texts], np.float32)
        except ValueError as error:
            raise DatasetError(f"{self._path}: a weight is no number: {error}") from error
        if not weights.any():
            raise DatasetError(f"{self._path}: all weights are 0, so nothing could be learnt")
        wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
        if wrong.size:
            raise DatasetError(
                f"{self._path}: row {wrong[0] + 1} has weight {weights[wrong[0]]}; weights are "
                "finite and not negative"
            )
        return weights

    def _identities(self, usable: NDArray[np.bool_]) -> Column | None:
        texts = self._texts(IDENTITIES, usable)
        if texts is None:
            return None
        good = pc.match_substring_regex(pa.array(texts, pa.string()), "^[0-9a-fA-F]{64}$")
        wrong = np.flatnonzero(~good.fill_null(False).to_numpy(zero_copy_only=False))
        if wrong.size:
            raise DatasetError(
                f"{self._path}: row {wrong[0] + 1} has sha256 {texts[wrong[0]]!r}; it is 64 "
                "hexadecimal digits"
            )
        return column([text.lower() for text in texts])


def _is_given(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Tell which cells hold something; text of spaces does not."""
    given = pc.is_valid(cells)
    if pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type):
        filled = pc.not_equal(pc.utf8_trim_whitespace(cells), "")
        given = pc.and_(given, filled.fill_null(False))
    return given


def _is_text(field: pa.Field) -> bool:
    kind = field.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(SEPARATOR) if part.strip()]


def _copy_bytes(source: Path, name: str, cells: Cells, rows: int, cache: Path | None) -> Path:
    """Copy a column of bytes into an Arrow file of the cache; it appears there complete."""
    if cache is None:
        raise DatasetError(f"{source} holds bytes, which need a cache folder")
    status = source.stat()
    tag = f"{source.absolute()} {status.st_size} {status.st_mtime_ns} {name}"
    folder = cache / "tables"
    target = folder / f"{hashlib.sha256(tag.encode()).hexdigest()[:32]}.arrow"
    if target.is_file():
        return target
    schema = pa.schema([(name, pa.binary())])
    try:
        with written_aside(target) as aside, pa.ipc.new_file(str(aside), schema) as out:
            copied = 0
            for piece in cells():
                out.write_batch(pa.record_batch([piece], schema=schema))
                copied += len(piece)
            if copied != rows:  # Arrow reads a damaged column to an early end without a word
                raise DatasetError(f"{source} is damaged: {copied} of {rows} rows have {name!r}")
    except OSError as error:
        raise DatasetError(
            f"cannot copy the pictures of {source} to {folder}: {error.strerror or error}. Make "
            "room there, or set TL_CACHE_DIR to another folder"
        ) from error
    return target
