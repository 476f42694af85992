"""The runs of a folder, as rows: quick at ten thousand of them.

What a row needs of each run is kept in ``runs/.index.json`` beside the time of its ``run.json``, so
that only runs that are new or have changed are read again. Neither TensorFlow nor MLflow.
"""

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from tl.config import RunConfig, flatten
from tl.errors import ConfigError, nearest
from tl.problem import LOWER_IS_BETTER
from tl.written_aside import written_aside

INDEX = ".index.json"
FORMAT = 1
_DEFAULTS = RunConfig(dataset="-").flat()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A run in a list.

    Attributes:
        id: name of its folder.
        model: name of the model.
        state: ``running``, ``finished``, ``stopped`` or ``failed``.
        backbone: row of the zoo.
        strategy: that was asked for.
        problem: what was learned.
        fingerprint: of the dataset.
        version: number of the exported version, or None.
        headline: name of the figure that stands for all, or None.
        value: of it.
        interval: 95 % of it, or None.
        measured_on: ``test`` or ``val``.
        metrics: all numbers.
        settings: of the config, by dotted key, where they are not the default.
    """

    id: str
    model: str
    state: str
    backbone: str
    strategy: str
    problem: str
    fingerprint: str
    version: int | None = None
    headline: str | None = None
    value: float | None = None
    interval: tuple[float, float] | None = None
    measured_on: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


def list_runs(
    folder: Path, on_damaged: Callable[[str], None] = lambda record: None
) -> list[RunRow]:
    """Return the runs below a folder, the oldest first; what is no run of tl is passed over.

    Args:
        folder: of the runs.
        on_damaged: told the path of each record that cannot be read.
    """
    known, rows, stamps = _read_index(folder), [], {}
    changed = False
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            record = os.path.join(entry.path, "run.json")  # noqa: PTH118 - ten thousand times
            try:
                found = os.stat(record)  # noqa: PTH116
            except OSError:
                continue
            stamp = [found.st_mtime_ns, found.st_size]
            row = known.pop(entry.name, None)
            if row is None or row[0] != stamp:
                changed = True
                try:
                    with open(record, "rb") as file:  # noqa: PTH123
                        summary = _summary(entry.name, orjson.loads(file.read()))
                except (OSError, ValueError, KeyError, TypeError, AttributeError):
                    on_damaged(record)
                    continue
            else:
                summary = row[1]
            stamps[entry.name] = [stamp, summary]
            rows.append(_row(summary))
    if changed or known:
        _write_index(folder, stamps)
    return rows


def choose_runs(
    rows: Sequence[RunRow],
    *,
    where: Sequence[str] = (),
    sort: str = "id",
    ascending: bool | None = None,
) -> list[RunRow]:
    """Filter and sort.

    Args:
        rows: of `list_runs`.
        where: ``key=value`` each; keys are those of the row, of metrics or of settings, and
            ``metric>0.8``, ``metric<0.8`` compare numbers.
        sort: key to sort by; ``value`` takes what is better first.
        ascending: None takes what is usual for the key: newest and best first.

    Raises:
        ConfigError: an unknown key.
    """
    for condition in where:
        rows = [row for row in rows if _holds(row, condition, rows)]
    keyed = [(value_of(row, sort), row) for row in rows]
    if rows and all(value is None for value, _ in keyed):
        _refuse_unknown(sort, rows)
    have = [pair for pair in keyed if pair[0] is not None]
    if ascending is None:
        names = {row.headline for row in rows} if sort == "value" else {sort.rpartition(".")[2]}
        are_words = sort != "id" and any(isinstance(value, str) for value, _ in have)
        ascending = are_words or bool(names & LOWER_IS_BETTER)
    have.sort(key=lambda pair: _sortable(pair[0]), reverse=not ascending)
    return [row for _, row in have] + [row for value, row in keyed if value is None]


def best_run(rows: Sequence[RunRow]) -> RunRow | None:
    """Return the finished run with the best headline, of runs on the same dataset and problem.

    Of those measured on the most pictures: with some left out (``--exclude``), figures are others.
    None where there is none, or where the runs answer different questions.
    """
    measured = [row for row in rows if row.value is not None and row.state == "finished"]
    questions = {
        (row.problem, row.headline, row.fingerprint, row.model, row.measured_on) for row in measured
    }
    if len(questions) != 1:
        return None
    most = max(row.metrics.get("n_pictures", 0) for row in measured)
    measured = [row for row in measured if row.metrics.get("n_pictures", 0) == most]
    lower = measured[0].headline in LOWER_IS_BETTER
    return (min if lower else max)(measured, key=lambda row: row.value or 0.0)


def value_of(row: RunRow, key: str) -> Any:
    """Return what a run has under a key, or None."""
    if key in RunRow.__dataclass_fields__:
        return getattr(row, key)
    if key in row.metrics:
        return row.metrics[key]
    return row.settings.get(key, _DEFAULTS.get(key))


def _holds(row: RunRow, condition: str, rows: Sequence[RunRow]) -> bool:
    for sign in ("=", ">", "<"):
        key, found, wanted = condition.partition(sign)
        if found:
            break
    else:
        raise ConfigError(f"--where {condition!r}: write KEY=VALUE, KEY>NUMBER or KEY<NUMBER")
    key, wanted = key.strip(), wanted.strip()
    if all(value_of(one, key) is None for one in rows):
        _refuse_unknown(key, rows)
    value = value_of(row, key)
    if value is None:
        return False
    if sign == "=":
        return str(value) == wanted
    try:
        number = float(wanted)
    except ValueError:
        raise ConfigError(f"--where {condition!r}: {wanted!r} is no number") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"--where {condition!r}: {key} is {value!r}, which is no number")
    return value > number if sign == ">" else value < number


def _refuse_unknown(key: str, rows: Sequence[RunRow]) -> None:
    every = {name for row in rows[-100:] for name in row.metrics} | set(_DEFAULTS)
    every |= set(RunRow.__dataclass_fields__) - {"metrics", "settings"}
    if key not in every:
        near = nearest(key, sorted(every)) or f"known are {', '.join(sorted(every)[:12])}, ..."
        raise ConfigError(f"no run has {key!r}; {near}")


def _sortable(value: Any) -> tuple[int, Any]:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return 0, value
    return 1, str(value)


def _summary(name: str, facts: dict[str, Any]) -> dict[str, Any]:
    outcome, config = facts.get("outcome") or {}, facts["config"]
    saved, headline = outcome.get("saved_model"), outcome.get("headline")
    number = Path(saved).name if saved else ""
    metrics = {
        key: value
        for key, value in (outcome.get("metrics") or {}).items()
        if isinstance(value, int | float)
    }
    return {
        "id": name,
        "model": str(facts["name"]),
        "state": str(facts["state"]),
        "backbone": str(facts["backbone"]),
        "strategy": str(config["training"]["strategy"]),
        "problem": str(facts.get("problem", "single_label")),
        "fingerprint": str(facts["fingerprint"]),
        "version": int(number) if number.isdigit() else None,
        "headline": headline,
        "value": metrics.get(headline) if headline else None,
        "interval": outcome.get("interval"),
        "measured_on": str(outcome.get("measured_on", "")),
        "metrics": metrics,
        "settings": {key: value for key, value in flatten(config) if value != _DEFAULTS.get(key)},
    }


def _row(summary: dict[str, Any]) -> RunRow:
    interval = summary["interval"]
    return RunRow(**{**summary, "interval": tuple(interval) if interval else None})


def _read_index(folder: Path) -> dict[str, list[Any]]:
    try:
        stored = orjson.loads((folder / INDEX).read_bytes())
        runs = stored["runs"] if stored["format"] == FORMAT else {}
        return {name: row for name, row in runs.items() if set(row[1]) == set(_FIELDS)}
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return {}


_FIELDS = tuple(RunRow.__dataclass_fields__)


def _write_index(folder: Path, runs: Mapping[str, Any]) -> None:
    # An index that cannot be written costs time and nothing else.
    with contextlib.suppress(OSError), written_aside(folder / INDEX) as aside:
        aside.write_bytes(orjson.dumps({"format": FORMAT, "runs": runs}))


def as_plain(row: RunRow) -> dict[str, Any]:
    """Return a row for JSON."""
    return asdict(row)
