"""From a served version back to pictures, settings, code and command.

tl lineage models/flowers/7
"""

import dataclasses
import hashlib
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tl.config import RunConfig, flatten
from tl.data.split import read_split
from tl.errors import ConfigError, DatasetError
from tl.export.versions import list_versions
from tl.manifest import read_manifest
from tl.promotion import Promotion, read_history, read_labels
from tl.run_folder import RUNS, SPLIT, WEIGHTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Where a version comes from.

    Attributes:
        version: its folder.
        run: id of the run.
        run_folder: where the run is kept here, or None.
        exported: time.
        labels: that stand for it now.
        history: promotions of it, as lines.
        dataset: as the run was given it.
        fingerprint: of the pictures and their labels.
        pictures: number by side.
        same_pictures: whether the split in the version has as many pictures as its record; None
            where it cannot be told.
        backbone: row of the zoo, its weights and their hash.
        git: commit, with -dirty where it had changes.
        versions: of packages.
        device: what trained.
        headline: name, value and interval of the figure that stands for all.
        settings: of the config that are not the default.
        command: that makes such a version again.
        weights_sha256: of the run's weights, or None where they are not here.
    """

    version: Path
    run: str
    run_folder: Path | None
    exported: str
    labels: tuple[str, ...]
    history: tuple[str, ...]
    dataset: str
    fingerprint: str
    pictures: dict[str, int]
    same_pictures: bool | None
    backbone: str
    git: str
    versions: dict[str, str]
    device: str
    headline: tuple[str, float, tuple[float, float] | None] | None
    settings: dict[str, Any]
    command: str
    weights_sha256: str | None


def trace(version: Path) -> Lineage:
    """Read a version's own facts, and what is kept here of its run.

    Raises:
        ConfigError: no version of tl's.
    """
    if list_versions(version) and not (version / "saved_model.pb").is_file():
        version = version / str(list_versions(version)[-1])
    if not (version / "saved_model.pb").is_file():
        raise ConfigError(f"{version} is no version of a model: give one such as models/flowers/7")
    version = version.resolve()
    facts = read_manifest(version)
    try:
        config, run = facts["config"], str(facts["id"])
        counts = {side: sum(classes.values()) for side, classes in facts["class_counts"].items()}
        folder = next((path for path in _places(run) if path.is_dir()), None)
        return Lineage(
            version=version,
            run=run,
            run_folder=folder,
            exported=str(facts.get("exported", "unknown")),
            labels=tuple(
                label
                for label, number in read_labels(version.parent.parent)
                .get(version.parent.name, {})
                .items()
                if str(number) == version.name
            ),
            history=tuple(
                f"{one.when[:19]}  {one.label}{_replaced(one)}"
                for one in read_history(version.parent.parent)
                if (one.model, str(one.version)) == (version.parent.name, version.name)
            ),
            dataset=str(config["dataset"]),
            fingerprint=str(facts["fingerprint"]),
            pictures=counts,
            same_pictures=_same_pictures(version, counts),
            backbone=f"{facts['backbone']}, {facts['weights']['source']}, sha256 "
            f"{facts['weights']['sha256'] or 'none'}",
            git=str(facts["versions"].get("git", "not in a git checkout")),
            versions={
                name: str(number) for name, number in facts["versions"].items() if name != "git"
            },
            device=str(facts["device"]),
            headline=_headline(facts),
            settings=changed_settings(config),
            command=reproduce_command(
                facts, folder / SPLIT if folder else version / "assets.extra" / SPLIT
            ),
            weights_sha256=_digest(folder / WEIGHTS) if folder else None,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{version} was not exported by tl, or by a version that kept no lineage ({error!r})"
        ) from error


def changed_settings(config: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a stored config that are not the default, by dotted key."""
    defaults = RunConfig(dataset="-").flat()
    return {
        key: value
        for key, value in flatten(config)
        if key != "dataset" and value != defaults.get(key)
    }


def reproduce_command(record: dict[str, Any], split: Path) -> str:
    """Return the command that trains such a model again, on the sides that pictures had.

    Args:
        record: as stored, of the run.
        split: file with the sides, where the config names none.
    """
    config, weights = record["config"], record["weights"]
    settings = changed_settings(config)
    if config.get("model", {}).get("backbone") == "auto":
        settings["model.backbone"] = record["backbone"]
    if path := weights.get("path"):  # found by a variable of the environment
        settings["model.weights"] = path
    if not config.get("data", {}).get("split_file"):
        settings["data.split_file"] = split.resolve()
    words = ["tl", "finetune", "--dataset", str(config["dataset"])]
    for key, value in settings.items():
        words += ["--set", f"{key}={_toml(value)}"]
    return shlex.join(words)


def as_plain(lineage: Lineage) -> dict[str, Any]:
    """Return a lineage for JSON."""
    facts = dataclasses.asdict(lineage)
    return {key: str(value) if isinstance(value, Path) else value for key, value in facts.items()}


def _replaced(one: Promotion) -> str:
    return f" in place of {one.before}" if one.before not in (None, one.version) else ""


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_quoted, value)) + "]"
    return str(value)


def _quoted(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_quoted(one)}" for key, one in value.items()) + "}"
    return f'"{value}"' if isinstance(value, str) else _toml(value)


def _headline(
    facts: dict[str, Any],
) -> tuple[str, float, tuple[float, float] | None] | None:
    from tl.evaluation.measures import MEASURES

    name = MEASURES[facts.get("problem", "single_label")].headline
    metrics = facts.get("metrics", {})
    if name not in metrics:
        return None
    interval = metrics.get(f"{name}_interval")
    return name, float(metrics[name]), tuple(interval) if interval else None


def _same_pictures(version: Path, counts: dict[str, int]) -> bool | None:
    try:
        split = read_split(version / "assets.extra" / SPLIT)
    except DatasetError:
        return None
    return len(split) == sum(counts.values())


def _places(run: str) -> list[Path]:
    return [RUNS / run]


def _digest(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
