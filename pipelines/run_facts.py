"""What a run keeps of itself, in its folder and in the experiment store.

Before training what was asked, an epoch at a time what happens, after it what came of it.
"""

import contextlib
import datetime
import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.against_best import against_best
from pipelines.exported import EVALUATION, SUSPECTS, Exported
from pipelines.plan import Plan, absolute_config
from tl.data.answers import value_facts
from tl.evaluation.charts import draw_confusion, draw_curves
from tl.evaluation.measures import headline
from tl.evaluation.predictions import PREDICTIONS
from tl.run_folder import SPLIT, RunRecord
from tl.tracking import Tracker
from tl.training.devices import Device
from tl.training.progress import EpochRecord, Listener, epoch_line, kept_epoch, throughput_unit
from tl.zoo.weights import Weights, keras_cache

LOG = "log.txt"
UPDATES_S = 0.5
"""Between two lines about updates: a run of a day has as many as a chart can show."""


def run_record(plan: Plan, folder: Path, device: Device) -> RunRecord:
    """Return what a run is, before it has trained."""
    assert plan.weights is not None  # only a dry run has none
    return RunRecord(
        id=folder.name,
        name=plan.name,
        config=absolute_config(plan.config),
        backbone=plan.backbone.name,
        weights={
            "source": plan.weights.source,
            "sha256": plan.weights.sha256,
            "path": _path_to_name(plan.weights),
        },
        image_size=plan.image_size,
        class_names=plan.data.class_names,
        fingerprint=plan.data.pictures.fingerprint,
        class_counts=plan.data.counts(),
        order=plan.data.training_order(),
        device=f"{device.description}, {device.precision}, {device.backend}",
        versions=package_versions(),
        problem=plan.data.problem,
        training_values=value_facts(plan.data.side("train")),
    )


def _path_to_name(weights: Weights) -> str | None:
    """Return the file of weights that another machine, or a shell without TL_WEIGHTS_DIR, lacks."""
    path = weights.path
    if (
        weights.kind not in ("imagenet", "file")
        or path is None
        or path.parent == keras_cache(os.environ)
    ):
        return None
    return str(path.resolve())


def folds_of(plan: Plan) -> dict[str, str] | None:
    """Return what the folds of a cross-validation share: a digest, and a name for their parent."""
    if not plan.config.data.folds:
        return None
    settings = absolute_config(plan.config).flat() | {"data.fold": "every"}
    text = json.dumps([settings, plan.data.pictures.fingerprint], sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    return {"digest": digest, "name": f"{plan.name} in {plan.config.data.folds} folds"}


def package_versions() -> dict[str, str]:
    """Return the versions that results depend on, and the commit where there is one."""
    packages = ("tl", "tensorflow", "keras", "numpy", "grain", "albumentations",
                "opencv-python-headless", "mlflow")  # fmt: skip
    versions = {"python": platform.python_version()}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40"],
            capture_output=True, text=True, check=True, timeout=5,
        )  # fmt: skip
        versions["git"] = commit.stdout.strip()
    return versions


def describe_run(tracker: Tracker, plan: Plan, record: RunRecord, folder: Path) -> None:
    """Write what was asked of a run to its folder and to the experiment store."""
    git = record.versions.get("git")
    tracker.tags(
        {
            "tl.model": plan.name,
            "tl.problem": plan.data.problem,
            "tl.backbone": plan.backbone.name,
            "tl.weights": str(record.weights["source"]),
            "tl.strategy": plan.config.training.strategy,
            "tl.device": record.device,
            "tl.dataset": plan.data.pictures.dataset.name,
            "tl.dataset_fingerprint": plan.data.pictures.fingerprint,
            "tl.run_folder": str(folder.resolve()),
            "mlflow.source.name": "tl finetune",
        }
    )
    if git is not None:
        commit = git.removesuffix("-dirty")
        tracker.tags(
            {"mlflow.source.git.commit": commit, "tl.git_dirty": str(commit != git).lower()}
        )
    resolved = {
        **absolute_config(plan.config).flat(),  # the same in any folder, so also on a resume
        "name": plan.name,
        "data.problem": plan.data.problem,
        "model.backbone": plan.backbone.name,
        "model.image_size": plan.image_size[0],
        "augment.recipe": plan.recipe,
        "dataset_fingerprint": plan.data.pictures.fingerprint,
    }
    for side, count in plan.data.side_counts().items():
        resolved[f"pictures.{side}"] = count
    tracker.parameters(resolved)
    for side, context in (("train", "training"), ("val", "validation"), ("test", "testing")):
        tracker.dataset(
            {
                "name": plan.data.pictures.dataset.name,
                # The same pictures on three sides are three inputs; MLflow knows them by digest.
                "digest": f"{plan.data.pictures.fingerprint[:28]}-{side}",
                "source": str(record.config.dataset),
                "context": context,
                "profile": {
                    "fingerprint": plan.data.pictures.fingerprint,
                    "n_pictures": plan.data.side_counts()[side],
                    "class_counts": dict(list(record.class_counts[side].items())[:100]),
                },
            }
        )
    (folder / "config.json").write_text(json.dumps(resolved, indent=2, sort_keys=True) + "\n")
    (folder / "class_counts.json").write_text(json.dumps(record.class_counts, indent=2) + "\n")
    (folder / "versions.json").write_text(json.dumps(record.versions, indent=2) + "\n")
    (folder / "unreadable.json").write_text(
        json.dumps(plan.data.pictures.unreadable, indent=2) + "\n"
    )
    for name in ("config.json", "class_counts.json", "versions.json", "unreadable.json", SPLIT):
        tracker.artifact(folder / name)


def report_run(
    tracker: Tracker,
    folder: Path,
    records: list[EpochRecord],
    exported: Exported | None,
    record: RunRecord,
) -> None:
    """Write what came of a run to its folder and to the experiment store."""
    draw_curves(records, folder / "curves.png")
    tracker.artifact(folder / "curves.png")
    tracker.image(folder / "curves.png", "curves")
    tracker.artifact(folder / LOG)
    if kept := kept_epoch(records):
        tracker.tags({"tl.kept_epoch": f"{kept.phase} {kept.epoch}"})
    if exported is not None:
        report_export(tracker, folder, exported, record, records[-1].step if records else 0)


def report_export(
    tracker: Tracker, folder: Path, exported: Exported, record: RunRecord, step: int
) -> None:
    """Write what a published version is worth to the folder and to the experiment store.

    Args:
        tracker: of the run.
        folder: of the run.
        exported: the version.
        record: of the run, with the outcome.
        step: the last one of training.
    """
    tracker.tags({"tl.saved_model": str(exported.path.resolve())})
    if exported.unreadable:
        path = folder / "unreadable.json"
        known = [tuple(pair) for pair in json.loads(path.read_text())]
        path.write_text(json.dumps([*known, *exported.unreadable], indent=2) + "\n")
        tracker.artifact(path)
    if exported.metrics:
        _report_figures(tracker, folder, exported, record, step)
    tracker.model(exported.path, record.name, step)


def _report_figures(
    tracker: Tracker, folder: Path, exported: Exported, record: RunRecord, step: int
) -> None:
    figures = {
        f"{exported.measured_on}.{key}": value
        for key, value in exported.metrics.items()
        if isinstance(value, int | float)
    }
    for key, value in exported.metrics.items():
        if key.endswith("_interval"):
            low, high = value
            name = f"{exported.measured_on}.{key.removesuffix('_interval')}"
            figures |= {f"{name}.low": low, f"{name}.high": high}
    name = headline(exported.problem, exported.metrics)[0]
    tracker.tags(
        {
            "tl.headline": f"{exported.measured_on}.{name}",
            # What MLflow shows at the top of a run.
            "mlflow.note.content": _note(exported, record, name),
            "tl.against_best": record.outcome.get("against_best")
            or "first: nothing to compare with",
        }
    )
    (folder / "metrics.json").write_text(json.dumps(exported.metrics, indent=2) + "\n")
    tracker.artifact(folder / "metrics.json")
    if "confusion" in exported.metrics:  # of one class a picture
        path = folder / "confusion_matrix.png"
        draw_confusion(exported.metrics["confusion"], record.class_names, path)
        tracker.artifact(path)
        tracker.image(path, "confusion_matrix")
    for name in (EVALUATION, PREDICTIONS, SUSPECTS):
        if (folder / name).is_file():
            tracker.artifact(folder / name)
    for name, value in look_figures(folder).items():
        figures[name] = value
    tracker.metrics(figures, step=step, anew=True)


def _note(exported: Exported, record: RunRecord, name: str) -> str:
    interval = exported.metrics.get(f"{name}_interval")
    against = record.outcome.get("against_best")
    against = f"Against the best run before: {against}. " if against else ""
    between = f" (95 % interval {interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
    return (
        f"**{name} {exported.metrics[name]:.4g}**{between} on {exported.metrics['n_pictures']:,} "
        f"{exported.measured_on} pictures; {record.backbone}, strategy "
        f"{record.config.training.strategy}. {against}"
        "The page `report.html` among the artifacts says why."
    )


def look_figures(folder: Path) -> dict[str, float]:
    """Return the figures of ``evaluation.json`` by which runs are compared."""
    try:
        found = json.loads((folder / EVALUATION).read_text())
    except (OSError, ValueError):
        return {}
    figures = {f"speed.{key}": value for key, value in found.get("speed", {}).items()}
    abstention = found.get("abstention", {})
    for key in ("coverage", "achieved_error_rate"):
        if abstention.get(key) is not None:
            figures[f"abstention.{key}"] = abstention[key]
    for kind, rows in found.get("robustness", {}).get("kinds", {}).items():
        for row in rows:
            figures[f"robustness.{kind}.{row['severity']}"] = row["value"]
    return {name: float(value) for name, value in figures.items()}


def outcome_of(folder: Path, exported: Exported | None) -> dict[str, Any]:
    """Return what a run's record keeps of its export, and how it stands to the best before it."""
    if exported is None:
        return {}
    outcome: dict[str, Any] = {
        "saved_model": str(exported.path),
        "measured_on": exported.measured_on,
        "metrics": {k: v for k, v in exported.metrics.items() if isinstance(v, int | float)},
    }
    if exported.metrics:
        name = headline(exported.problem, exported.metrics)[0]
        outcome["headline"] = name
        outcome["interval"] = exported.metrics.get(f"{name}_interval")
        outcome["against_best"] = against_best(folder, exported)
    return outcome


@contextlib.contextmanager
def warnings_to(say: Callable[[str], None], log: Any) -> Iterator[None]:
    """Say what tl's modules warn of while a block runs, and keep it in the run's log."""

    class Teller(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            line = f"warning: {record.getMessage()}"
            say(line)
            log.write(f"{line}\n")

    logger, teller = logging.getLogger("tl"), Teller(logging.WARNING)
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(teller)
    try:
        yield
    finally:
        logger.removeHandler(teller)
        logger.propagate = propagated


class Recording:
    """Pass progress on to the screen, and keep every epoch in the store and the log."""

    def __init__(self, listener: Listener, tracker: Tracker, log: Any) -> None:
        self._listener, self._tracker, self._log = listener, tracker, log
        self._epochs = 0
        self._sums: dict[str, float] = {}
        self._updates, self._told = 0, time.monotonic()

    def phase_started(self, phase: str, epochs: int, steps_per_epoch: int) -> None:
        """Pass it on."""
        self._epochs = epochs
        self._listener.phase_started(phase, epochs, steps_per_epoch)

    def step_done(self, phase: str, epoch: int, step: int, images: int) -> None:
        """Pass it on."""
        self._listener.step_done(phase, epoch, step, images)

    def update_done(self, phase: str, step: int, metrics: Mapping[str, float]) -> None:
        """Keep the mean over the updates of half a second."""
        for name, value in metrics.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._updates += 1
        if time.monotonic() - self._told >= UPDATES_S:
            means = {name: value / self._updates for name, value in self._sums.items()}
            prefix = phase.replace(" ", "_")
            self._tracker.metrics(
                {f"{prefix}.updates.{name}": value for name, value in means.items()}, step=step
            )
            self._sums, self._updates, self._told = {}, 0, time.monotonic()
        self._listener.update_done(phase, step, metrics)

    def epoch_done(self, record: EpochRecord) -> None:
        """Keep it, and pass it on."""
        phase = record.phase.replace(" ", "_")
        values = {f"{phase}.{name}": value for name, value in record.metrics.items()}
        unit = throughput_unit(record.phase).replace(" ", "_")
        values[f"{phase}.{unit}_per_second"] = record.images_per_second
        self._tracker.metrics(values, step=record.step)
        now = datetime.datetime.now().isoformat(sep=" ", timespec="seconds")
        self._log.write(f"{now}  {epoch_line(record, self._epochs)}\n")
        self._log.flush()
        self._listener.epoch_done(record)

    def phase_ended(self, phase: str) -> None:
        """Pass it on."""
        self._listener.phase_ended(phase)
