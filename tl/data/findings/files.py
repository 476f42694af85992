"""What the names of files say: endings that lie, clutter, files that no class has."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tl.data.contents import Files
from tl.data.decode import EXTENSIONS
from tl.data.example import Dataset
from tl.data.findings.finding import Finding, finding
from tl.data.formats.folder import CLASS_INDEX, CLUTTER, is_picture
from tl.data.look import Looks, file_format

_CLUTTER_FILES = frozenset(["thumbs.db", "desktop.ini", "ehthumbs.db", ".ds_store"])
_FORMAT_OF = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    **dict.fromkeys((".bmp", ".dib"), "BMP"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm"), "PNM"),
    **dict.fromkeys((".heic", ".heif"), "HEIC"),
    ".png": "PNG", ".gif": "GIF", ".webp": "WebP", ".avif": "AVIF", ".jp2": "JPEG 2000",
    ".jxl": "JPEG XL",
}  # fmt: skip
assert set(_FORMAT_OF) == EXTENSIONS


def extension_findings(dataset: Dataset, looks: Looks) -> Iterator[Finding]:
    """Name pictures whose ending says another format than their first bytes."""
    for place, (key, is_one) in enumerate(zip(dataset.keys, looks.formats, strict=True)):
        ending = os.path.splitext(key)[1]  # noqa: PTH122 - called for every picture
        said = _FORMAT_OF.get(ending.lower())
        if said and is_one and said != is_one:
            yield finding("wrong_extension", [key], f"{key} is {is_one}, not {said}")
        elif said and not is_one and place not in looks.faults:
            yield finding("wrong_extension", [key], f"{key} is not {said}")


def file_findings(dataset: Dataset, folder: Path | None = None) -> Iterator[Finding]:
    """Name rows that are no picture, and what lies in a folder and is no picture of the dataset."""
    for row, reason in dataset.skipped:
        yield finding("skipped_rows", [row], f"{row}: {reason}")
    if folder is None or not isinstance(dataset.contents, Files):
        return
    used = set(dataset.contents.names)
    for top, folders, names in os.walk(folder):
        below = Path(top).relative_to(folder).as_posix()
        prefix = "" if below == "." else f"{below}/"
        clutter = [one for one in folders if one.startswith(".") or one in CLUTTER]
        folders[:] = sorted(set(folders) - set(clutter))
        for name in sorted(clutter):
            yield finding("hidden_files", [f"{prefix}{name}/"], f"{prefix}{name}/ is passed over")
        hidden = [one for one in names if one.startswith(".") or one.lower() in _CLUTTER_FILES]
        for name in sorted(hidden):
            yield finding("hidden_files", [prefix + name], f"{prefix}{name} is passed over")
        others = sorted(set(names) - set(hidden) - set(CLASS_INDEX if not prefix else ()))
        for name in others:
            if prefix + name not in used:
                yield _unused(folder, prefix + name)
        if not folders and not others and prefix:
            yield finding("empty_class", [prefix], f"{prefix} has no picture")


def _unused(root: Path, key: str) -> Finding:
    if not (root / key).is_file():
        return finding(
            "unused_files", [key], f"{key} is a pipe, a broken link or the like, no file"
        )
    if is_picture(key):
        return finding("unused_files", [key], f"{key} lies in no class's folder, it is not used")
    try:
        with (root / key).open("rb") as file:
            kind = file_format(file.read(32))
    except OSError:
        kind = ""
    ending = PurePosixPath(key).suffix
    if kind:
        return finding(
            "wrong_extension",
            [key],
            f"{key} is {kind}, but {ending or 'no ending'} is none of a picture: it is not used",
        )
    return finding("unused_files", [key], f"{key} is no picture by its name, it is not used")
