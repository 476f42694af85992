"""Where pictures come from: what the user typed -> the function of its format -> a `Dataset`.

Nothing is decoded here.
"""

from collections.abc import Callable
from pathlib import Path

from tl.data.answers import settle_problem
from tl.data.example import Dataset
from tl.data.formats.arrays import has_cifar, has_idx, read_cifar, read_idx, read_npz
from tl.data.formats.builtin import BUILT_IN, read_built_in
from tl.data.formats.folder import read_folder
from tl.data.formats.options import SourceOptions
from tl.data.formats.shards import has_shards, read_shards
from tl.errors import ConfigError, nearest

TABLE_ENDINGS = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson")


NO_OPTIONS = SourceOptions()


def open_dataset(spec: str, options: SourceOptions = NO_OPTIONS) -> Dataset:
    """Open a dataset by path or built-in name.

    Args:
        spec: a folder, a file, or a name of `BUILT_IN`. A folder or file of the same name wins.
        options: what the user says of it.

    Raises:
        ConfigError: no such folder, file, name or column.
        DatasetError: no classes, no picture, a damaged file, or labels that are not what the
            problem needs.
    """
    return settle_problem(_open(spec, options), options.problem)


def _open(spec: str, options: SourceOptions) -> Dataset:
    path = Path(spec).expanduser()
    if path.is_dir():
        for is_here, read in _FOLDERS:
            if is_here(path):
                return read(path, options)
        _refuse_columns(spec, options)
        return read_folder(path)
    if path.is_file():
        if path.suffix.lower() not in _FILES:
            raise ConfigError(
                f"--dataset {spec} is a file; give a folder that has one sub-folder a class, or a "
                f"file that ends with {' '.join(_FILES)}"
            )
        return _FILES[path.suffix.lower()](path, options)
    if spec in BUILT_IN:
        return read_built_in(spec, options.cache)
    raise ConfigError(
        f"--dataset {spec}: no such folder or file. Give a folder with one sub-folder a class, a "
        f"table, or a built-in name; {nearest(spec, BUILT_IN)}"
    )


def _refuse_columns(spec: str, options: SourceOptions) -> None:
    for setting in ("path_column", "label_column", "root"):
        if getattr(options, setting) is not None:
            raise ConfigError(
                f"data.{setting} is for tables, and {spec} is a folder of class folders; "
                "name the table itself, or leave it out"
            )


_Read = Callable[[Path, SourceOptions], Dataset]


def _table(path: Path, options: SourceOptions) -> Dataset:
    from tl.data.formats.table import read_table  # Arrow takes 0.2 s to import

    return read_table(path, options)


def _shards(path: Path, options: SourceOptions) -> Dataset:
    return read_shards(path, options.label_column, numeric=options.problem == "regression")


_FOLDERS: tuple[tuple[Callable[[Path], bool], _Read], ...] = (
    (has_idx, lambda path, options: read_idx(path)),
    (has_cifar, lambda path, options: read_cifar(path)),
    (has_shards, _shards),
)
_FILES: dict[str, _Read] = {
    **dict.fromkeys(TABLE_ENDINGS, _table),
    ".npz": lambda path, options: read_npz(path),
    ".tar": _shards,
}
