"""What lies on disk: the numbered versions of a model, and the models of a folder.

The rule of the directory is TF Serving's: `<base path>/<version>/saved_model.pb`, where the
whole name of the version's folder is an integer. A folder without `saved_model.pb` is a version
that somebody is still writing, or none at all; it is passed over.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from serving.config import ModelConfig
from serving.errors import StartError

_LARGEST_VERSION = 2**63 - 1  # the protocol carries versions as int64
_MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt")
_LAYOUT = "a version is a folder named by a number, such as {path}/1/saved_model.pb"


@dataclass(frozen=True, slots=True)
class VersionFolder:
    """One version that can be loaded.

    `contents` are the path, size in bytes and last change (ns since 1970) of its files; equal
    contents mean that nobody wrote in between.
    """

    path: Path
    contents: tuple[tuple[str, int, int], ...]

    @property
    def changed_s(self) -> float:
        """When one of the files was last touched, in seconds since 1970."""
        return max(changed_ns for _, _, changed_ns in self.contents) / 1e9


def parse_version(name: str) -> int | None:
    """Read the name of a folder as a version, or return None where it is none.

    Leading zeros are allowed: `00000123` is version 123.
    """
    if not re.fullmatch(r"[0-9]+", name):
        return None
    version = int(name)
    return version if version <= _LARGEST_VERSION else None


def has_numbered_folder(path: Path) -> bool:
    """Tell whether `path` holds a folder named by a number, be it complete or not."""
    return any(parse_version(entry.name) is not None and entry.is_dir() for entry in path.iterdir())


def find_versions(base_path: Path) -> dict[int, VersionFolder]:
    """Find the versions under `base_path` that hold a SavedModel.

    Raises:
        OSError: `base_path` is missing or cannot be read.
    """
    versions = {}
    for entry in sorted(base_path.iterdir()):
        version = parse_version(entry.name)
        if version is None or not any((entry / name).is_file() for name in _MODEL_FILES):
            continue
        contents = _list_contents(entry)
        if contents:
            versions[version] = VersionFolder(entry, contents)
    return versions


def find_models(folder: Path) -> tuple[ModelConfig, ...]:
    """Find what `folder` serves: itself, or each of its sub-folders with numbered versions.

    Raises:
        OSError: `folder` is missing or cannot be read.
    """
    if has_numbered_folder(folder):
        return (ModelConfig(name=folder.resolve().name, base_path=folder),)
    return tuple(
        ModelConfig(name=entry.name, base_path=entry)
        for entry in sorted(folder.iterdir())
        if entry.is_dir() and has_numbered_folder(entry)
    )


def check_base_path(base_path: Path) -> None:
    """Refuse a base path that will never have a version, with the fix in words.

    An empty folder passes: something may still be put there.

    Raises:
        StartError: it is missing, no folder, or holds other things than versions.
    """
    _check_is_folder(base_path)
    if any(base_path.iterdir()) and not has_numbered_folder(base_path):
        raise StartError(_no_versions(base_path))


def check_folder(folder: Path) -> None:
    """Refuse a folder in which there is neither a version nor a model.

    Raises:
        StartError: it is missing, no folder, or holds other things than models.
    """
    _check_is_folder(folder)
    if any(folder.iterdir()) and not find_models(folder):
        raise StartError(_no_versions(folder))


def _check_is_folder(path: Path) -> None:
    if not path.exists():
        raise StartError(f"base path {path} does not exist: {_LAYOUT.format(path=path)}")
    if not path.is_dir():
        raise StartError(f"base path {path} is not a folder: {_LAYOUT.format(path=path)}")


def _no_versions(path: Path) -> str:
    if any((path / name).is_file() for name in _MODEL_FILES):
        advice = (
            f"serve the folder above it, {path.parent}"
            if parse_version(path.name) is not None
            else f"move it into {path}/1 and serve {path}"
        )
        return f"base path {path} is itself a SavedModel: {advice}"
    return f"no versions found under base path {path}: {_LAYOUT.format(path=path)}"


def _list_contents(path: Path) -> tuple[tuple[str, int, int], ...]:
    try:
        return tuple(
            # The time of the inode's change, not of the contents': copying tools set the latter
            # back while they are still writing.
            (str(file.relative_to(path)), status.st_size, status.st_ctime_ns)
            for file in sorted(path.rglob("*"))
            if file.is_file()
            for status in (file.stat(),)
        )
    except FileNotFoundError:
        # Deleted while we looked: gone, as far as this poll is concerned.
        return ()
