"""What a run leaves on disk, enough to export it again: ``runs/<stamp>-<name>-<hex>/``.

run.json                  config as resolved, class names, backbone, fingerprint, outcome
split.json                side of every picture by identity
classifier.weights.h5     the best weights so far
checkpoints/              what a killed run goes on from, gone when it is finished
tracking.jsonl            what was told to the experiment store
log.txt                   one line an epoch
"""

import dataclasses
import datetime
import json
import secrets
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tl.config import RunConfig
from tl.config_reading import config_from_json
from tl.errors import ConfigError, nearest
from tl.problem import Problem
from tl.written_aside import written_aside

RUNS = Path("runs")
SPLIT = "split.json"
WEIGHTS = "classifier.weights.h5"
CHECKPOINTS = "checkpoints"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """The facts of a run that an export needs.

    Attributes:
        id: name of the folder.
        name: of the model.
        config: with every ``auto`` as the user gave it.
        backbone: row of the zoo that was taken.
        weights: where the pretrained weights came from, and their sha256.
        image_size: (height, width).
        taps: stages of the backbone that the head reads; None is the last.
        class_names: in label order.
        fingerprint: of the dataset.
        class_counts: by side and class.
        order: a digest of the training and validation pictures in their order.
        device: what trained.
        versions: of packages, and the git commit where there is one.
        problem: what was learned of the pictures.
        training_values: of regression, facts of the values learned from.
        state: ``running``, ``finished``, ``stopped`` or ``failed``.
    """

    id: str
    name: str
    config: RunConfig
    backbone: str
    weights: Mapping[str, str | None]
    image_size: tuple[int, int]
    class_names: tuple[str, ...]
    fingerprint: str
    class_counts: Mapping[str, Mapping[str, int]]
    order: str
    device: str
    versions: Mapping[str, str]
    problem: Problem = "single_label"
    training_values: Mapping[str, float] = field(default_factory=dict)
    state: str = "running"
    taps: tuple[int, ...] | None = None
    outcome: Mapping[str, Any] = field(default_factory=dict)

    @property
    def backend(self) -> str:
        """Name of the Keras backend that trained."""
        return self.device.rpartition(", ")[2]


def new_run_id(name: str) -> str:
    """Return a folder name that sorts by time and does not collide."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return f"{stamp}-{name}-{secrets.token_hex(2)}"


def write_record(folder: Path, record: RunRecord) -> None:
    """Write ``run.json`` in one step."""
    with written_aside(folder / "run.json") as aside:
        aside.write_text(json.dumps(dataclasses.asdict(record), indent=2) + "\n")


def read_record(folder: Path) -> RunRecord:
    """Read ``run.json``.

    Raises:
        ConfigError: not a run's folder, or written by another version of tl.
    """
    path = folder / "run.json"
    try:
        facts = json.loads(path.read_text())
        _check_types(facts)
        facts["config"] = config_from_json(json.dumps(facts["config"]))
        facts["image_size"] = tuple(facts["image_size"])
        facts["taps"] = tuple(facts["taps"]) if facts.get("taps") else None
        facts["class_names"] = tuple(facts["class_names"])
        return RunRecord(**facts)
    except OSError as error:
        raise ConfigError(f"{folder} is no run: {path.name}: {error.strerror or error}") from error
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path} is damaged: {error}") from error
    except (ValueError, KeyError, TypeError, ConfigError) as error:
        raise ConfigError(f"{path} was not written by this version of tl ({error})") from error


def _check_types(facts: Mapping[str, Any]) -> None:
    lists = (list, type(None))
    stored: dict[Any, Any] = {
        tuple[int, int]: list, tuple[str, ...]: list, tuple[int, ...] | None: lists,
        str: str, Problem: str,
    }  # fmt: skip
    for key, hint in typing.get_type_hints(RunRecord).items():
        kind = stored.get(hint, dict)
        if key in facts and not isinstance(facts[key], kind):
            raise TypeError(f"{key} = {facts[key]!r}")


def find_run(run: str) -> Path:
    """Return the folder of a run, given as a path, a name below ``runs/``, or its beginning.

    Raises:
        ConfigError: no such run, or several begin like this.
    """
    if not run:
        raise ConfigError("the name of a run is empty; name one of those below runs/")
    path = Path(run)
    if (path / "run.json").is_file():
        return path
    known = sorted(record.parent.name for record in RUNS.glob("*/run.json"))
    matches = [name for name in known if name.startswith(run) or name.endswith(run)]
    if run in known:  # though longer ones begin or end like it
        matches = [run]
    if len(matches) == 1:
        return RUNS / matches[0]
    if matches:
        raise ConfigError(f"several runs match {run!r}: {', '.join(matches[:5])}")
    near = nearest(run, known) or f"the newest is {known[-1]}" if known else "there is none yet"
    raise ConfigError(f"no run {run!r} below {RUNS.absolute()}; {near}")
