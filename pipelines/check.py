"""Dataset -> look at every picture -> findings; and the two files that may come of them."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tl.config import DataConfig
from tl.data.check import CheckReport, check_dataset, quick_findings
from tl.data.check_page import check_page
from tl.data.clean import Cleaned, clean, manifest, root_of_files
from tl.data.contents import Files
from tl.data.example import Side
from tl.data.findings.finding import Finding
from tl.data.inspect import cache_folder
from tl.data.prepare import ReadablePictures, source_options
from tl.data.sources import open_dataset
from tl.errors import ConfigError, TlError


@dataclass(frozen=True, slots=True)
class Manifest:
    """A cleaned manifest on disk.

    Attributes:
        path: of the CSV.
        cleaned: what is in it and what is not.
        root: ``data.root`` that it needs, or None.
    """

    path: Path
    cleaned: Cleaned
    root: Path | None


def check(
    spec: str,
    config: DataConfig,
    *,
    fix: bool = False,
    threads: int | None = None,
    on_start: Callable[[int], None] = lambda count: None,
    on_progress: Callable[[int], None] = lambda done: None,
) -> CheckReport:
    """Open a dataset and look at every picture.

    Args:
        spec: as ``--dataset`` takes it.
        config: limits and names of columns.
        fix: whether a manifest is to be written, which not every source allows.
        threads: None is one a core.
        on_start: told the number of pictures.
        on_progress: told the number of pictures done so far.

    Raises:
        ConfigError: no such dataset, or one that ``fix`` does not go with.
        DatasetError: one that cannot be opened at all.
    """
    dataset = open_dataset(spec, source_options(config, cache_folder()))
    if fix:
        root_of_files(dataset)  # refused before the long part
    on_start(len(dataset))
    return check_dataset(
        dataset,
        max_pixels=max_pixels(config),
        folder=class_folders(spec, dataset.contents),
        sides=wanted_sides(config),
        threads=threads,
        on_progress=on_progress,
    )


def quick_check(spec: str, config: DataConfig, pictures: ReadablePictures) -> list[Finding]:
    """Return what can be said without another look at the pictures, for `tl finetune`.

    Args:
        spec: as ``--dataset`` takes it.
        config: shares of the split.
        pictures: as training reads them.
    """
    found = quick_findings(
        pictures.examples,
        pictures.identities,
        folder=class_folders(spec, pictures.dataset.contents),
        sides=wanted_sides(config),
    )
    # Rows that are passed over have a line of their own, and few shots are few on purpose.
    passed = {"skipped_rows", *(("few_pictures", "too_few") if config.shots else ())}
    return [one for one in found if one.kind not in passed]


def class_folders(spec: str, contents: object) -> Path | None:
    """Return the folder of class folders that was named, or None where it is no such thing."""
    folder = Path(spec).expanduser()
    return folder if folder.is_dir() and isinstance(contents, Files) else None


def wanted_sides(config: DataConfig) -> tuple[Side, ...]:
    """Return what a split takes besides training."""
    sides: list[Side] = []
    if config.val_fraction > 0 or config.folds:
        sides.append("val")
    if config.test_fraction > 0:
        sides.append("test")
    return tuple(sides)


def max_pixels(config: DataConfig) -> int:
    """Return the limit of a picture's size."""
    return round(config.max_megapixels * 1e6)


def refuse_outputs(page: Path | None, fixed: Path | None) -> None:
    """Refuse, before the long part, a file that is there already or could not be written.

    Raises:
        ConfigError: with the path.
    """
    for flag, path in (("--html", page), ("--fix", fixed)):
        if path is None:
            continue
        if path.exists() or path.is_symlink():
            raise ConfigError(f"{flag} {path} is there already; nothing is written over")
        if not path.absolute().parent.is_dir():
            raise ConfigError(f"{flag} {path}: there is no folder {path.absolute().parent}")
        if not os.access(path.absolute().parent, os.W_OK | os.X_OK):
            raise ConfigError(f"{flag} {path}: the folder may not be written to")
    if page is not None and fixed is not None and page.absolute() == fixed.absolute():
        raise ConfigError(f"--html and --fix are both {page}; give each a name of its own")
    if fixed is not None and fixed.suffix.lower() != ".csv":
        raise ConfigError(f"--fix {fixed}: the manifest is CSV; let its name end with .csv")


def write_page(report: CheckReport, config: DataConfig, path: Path) -> None:
    """Write the report as one HTML file.

    Raises:
        ConfigError: it is there already.
        TlError: it cannot be written.
    """
    _write_new(path, check_page(report, max_pixels(config)))


def write_manifest(report: CheckReport, config: DataConfig, path: Path) -> Manifest:
    """Write what is left without the faults as a manifest; no picture is touched.

    Raises:
        ConfigError: it is there already, or the pictures are not files.
        DatasetError: too little is left.
        TlError: it cannot be written.
    """
    cleaned = clean(report, wanted_sides(config))
    text, root = manifest(cleaned, path.absolute().parent)
    _write_new(path, text)
    return Manifest(path, cleaned, root)


def _write_new(path: Path, text: str) -> None:
    try:
        file = path.open("x", encoding="utf-8", newline="")
    except FileExistsError as error:
        raise ConfigError(f"{path} is there already; nothing is written over") from error
    except OSError as error:
        raise TlError(f"cannot write {path}: {error.strerror or error}") from error
    try:
        with file:
            file.write(text)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise TlError(f"cannot write {path}: {error.strerror or error}") from error
