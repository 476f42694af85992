"""Fine-tune a backbone and publish it: the line from pictures to a served model.

    tl finetune --dataset flower_photos --backbone mobilenet_v2_0.35

What it reaches on real photographs, with the spread over seeds, is in docs/benchmarks.md.
"""

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from pipelines.backbone_features import backbone_facts, feature_folder
from pipelines.best_weights import BestWeights
from pipelines.choose import settle_backbone
from pipelines.contact_sheet import write_sheet
from pipelines.exported import Exported
from pipelines.feed import make_feed
from pipelines.look_closer import going_on, look_for_label_errors, write_pages
from pipelines.plan import Plan
from pipelines.precision import bfloat16_pays
from pipelines.publish import Rehearsal, Stopwatch, export_somewhere
from pipelines.resume import Resumption
from pipelines.run_facts import (
    LOG,
    Recording,
    describe_run,
    folds_of,
    outcome_of,
    package_versions,
    report_run,
    run_record,
    warnings_to,
)
from pipelines.run_log import flip_words, report_decision, say_and_keep
from tl.augment.pca_jitter import fit_colour_pca
from tl.augment.recipes import Augmentation
from tl.classifier import Classifier, build_classifier
from tl.data.balance import balance_classes
from tl.data.batches import Feed, decoded_pictures
from tl.data.split import write_split
from tl.errors import ConfigError, Interrupted, TrackingError, TrainingError
from tl.run_folder import (
    CHECKPOINTS,
    RUNS,
    SPLIT,
    WEIGHTS,
    new_run_id,
    read_record,
    write_record,
)
from tl.system_metrics import system_metrics
from tl.tracking import JournalTracker, Tracker, default_store
from tl.training.checkpoints import Checkpoint, remove_checkpoints
from tl.training.devices import Device, prepare_device
from tl.training.progress import (
    EpochRecord,
    Listener,
    Silent,
)
from tl.training.standing import CheckpointWriter
from tl.training.task import Task
from tl.training.tuning import Trained, train_classifier


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneResult:
    """What a run gave.

    Attributes:
        run: its folder.
        exported: the published version; None where this machine cannot export (no TensorFlow).
        records: of every epoch.
        model: a plain Keras model with the trained weights, RGB of 0 to 255 -> logits or values.
        tracking_fault: why the experiment store does not have everything, or None.
        seconds: wall time by stage.
    """

    run: Path
    exported: Exported | None
    records: tuple[EpochRecord, ...]
    model: keras.Model = field(repr=False)
    tracking_fault: str | None
    seconds: dict[str, float]


def finetune(
    plan: Plan,
    listener: Listener | None = None,
    say: Callable[[str], None] = lambda line: None,
    began: float | None = None,
) -> FinetuneResult:
    """Train, export, measure and track a planned run.

    Args:
        plan: from `pipelines.plan.make_plan`.
        listener: told of progress.
        say: receives one-line reports of what happens.
        began: on `time.monotonic`, when a time budget begins to count; None is now.

    Raises:
        TlError: with what is kept of the run.
    """
    began = time.monotonic() if began is None else began  # a choice is a part of the time
    plan = settle_backbone(plan, say)
    folder = RUNS / new_run_id(plan.name)
    return _run(plan, folder, None, listener or Silent(), say, began)


def resume(
    resumption: Resumption,
    listener: Listener | None = None,
    say: Callable[[str], None] = lambda line: None,
    began: float | None = None,
) -> FinetuneResult:
    """Go on with a run that was killed, to the same end.

    Args:
        resumption: from `pipelines.resume.plan_resumption`.
        listener: told of progress.
        say: receives one-line reports of what happens.
        began: on `time.monotonic`, when a time budget begins to count; None is now.

    Raises:
        TlError: with what is kept of the run.
    """
    checkpoint = resumption.checkpoint
    if checkpoint is None:
        found = any((resumption.folder / CHECKPOINTS).glob("*.npz"))
        what = "no checkpoint of the run is whole" if found else "the run had no checkpoint yet"
        say(f"{what}: it begins again, in the same folder")
    else:
        say(f"going on from {checkpoint.path}")
    changed = [
        f"{name} {before} then, {now} now"
        for name, before in resumption.record.versions.items()
        if name != "git" and (now := package_versions().get(name)) != before
    ]
    began_with, goes_on_with = resumption.record.backend, keras.config.backend()
    if checkpoint is not None and began_with != goes_on_with:
        say(
            f"warning: it began with {began_with} and goes on with {goes_on_with}, so it does not "
            f"end with the same numbers as it would with KERAS_BACKEND={began_with}"
        )
    if changed:
        say(f"warning: other versions than it began with, so other last digits: {changed}")
    return _run(resumption.plan, resumption.folder, checkpoint, listener or Silent(), say, began)


def _run(
    plan: Plan,
    folder: Path,
    resumed: Checkpoint | None,
    listener: Listener,
    say: Callable[[str], None],
    began: float | None,
) -> FinetuneResult:
    began = time.monotonic() if began is None else began
    stopwatch = Stopwatch()
    tracker = _tracker(plan, folder)
    exported: Exported | None = None
    try:
        device = prepare_device(plan.config.training, lambda: bfloat16_pays(plan, say))
        say(f"training on {device.description}, {device.precision}")
        for note in device.notes:
            say(note)
        record = run_record(plan, folder, device)
        earlier = read_record(folder) if resumed is not None else None
        if earlier is not None:
            record = dataclasses.replace(record, taps=earlier.taps)
        write_record(folder, record)
        if resumed is None:
            write_split(folder / SPLIT, plan.data.split())
            describe_run(tracker, plan, record, folder)
        feed = make_feed(plan)
        with (
            stopwatch("build"),
            (folder / LOG).open("a", encoding="utf-8") as log,
            warnings_to(say, log),
        ):
            keras.utils.set_random_seed(plan.config.seed)
            classifier = _build(plan, None if earlier is None else earlier.taps)
        rehearse = Rehearsal(
            folder, device, say, stopwatch, n_layers=len(classifier.model.layers),
            is_done=resumed is not None,
        )  # fmt: skip
        with stopwatch("train"):
            trained = _train(
                plan, classifier, folder, feed, tracker, listener, say, resumed, rehearse, began,
                device,
            )  # fmt: skip
            record = read_record(folder)
        with stopwatch("export and evaluate"):
            exported = export_somewhere(folder, plan.data, device, say)
        _end(folder, "finished", outcome_of(folder, exported))
        record = read_record(folder)
        with stopwatch("report"):
            look_for_label_errors(plan, folder, feed, say)
            write_pages(plan, folder, tracker, say)
        with stopwatch("track"):
            with going_on("writing down what came of the run", say):
                report_run(tracker, folder, trained.records, exported, record)
            remove_checkpoints(folder / CHECKPOINTS)
            fault = _finish(tracker, "FINISHED")
    except KeyboardInterrupt:
        if exported is not None:
            fault = _finish(tracker, "KILLED")
            raise Interrupted(
                f"stopped: the model is published as {exported.path}; to look at it and to tell "
                f"the experiment store: tl report {folder}; tl track sync {folder}"
                f"{f' ({fault})' if fault else ''}"
            ) from None
        _end(folder, "stopped", {})
        fault = _finish(tracker, "KILLED")
        kept = "nothing is trained yet, so nothing is kept"
        if (folder / WEIGHTS).is_file():
            kept = (
                f"the best weights so far are kept; to go on: tl finetune --resume {folder}; "
                f"to publish them: tl export {folder}"
            )
        raise Interrupted(f"stopped: {kept}{f' ({fault})' if fault else ''}") from None
    except OSError as error:
        if exported is None:
            _end(folder, "failed", {})
        _finish(tracker, "FAILED" if exported is None else "FINISHED")
        if exported is not None:
            raise TrainingError(
                f"the model is published as {exported.path}, but what comes after it failed: "
                f"{error}. Once the cause is mended: tl report {folder}; tl track sync {folder}"
            ) from error
        raise TrainingError(
            f"the run could not go on: {error}. What it has is kept; once the cause is mended: "
            f"tl finetune --resume {folder}"
        ) from error
    except BaseException:
        if exported is None:
            _end(folder, "failed", {})
        _finish(tracker, "FAILED")
        raise
    return FinetuneResult(
        run=folder,
        exported=exported,
        records=tuple(trained.records),
        model=_plain(trained.classifier.model),
        tracking_fault=fault,
        seconds=stopwatch.seconds,
    )


def _plain(model: keras.Model) -> keras.Model:
    """Return the same layers without the optimizer, which only tl knows how to load."""
    return keras.Model(model.input, model.output, name=model.name)


def _tracker(plan: Plan, folder: Path) -> JournalTracker:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return JournalTracker(
            folder, default_store(), plan.config.experiment or plan.name, folder.name,
            folds_of(plan),
        )  # fmt: skip
    except BlockingIOError as error:
        raise TrainingError(f"{folder} is still running; wait for its end, or stop it") from error
    except OSError as error:
        raise TrainingError(
            f"cannot write the run to {folder.absolute()}: {error.strerror or error}. Work in a "
            "folder that you may write to, on a disk with room"
        ) from error


def _build(plan: Plan, taps: tuple[int, ...] | None) -> Classifier:
    return build_classifier(
        plan.backbone,
        n_classes=len(plan.data.class_names),
        image_size=plan.image_size,
        weights=plan.weights,
        dropout=plan.config.model.dropout,
        problem=plan.data.problem,
        taps=taps,
        hidden=plan.config.model.hidden,
    )


def _train(
    plan: Plan,
    classifier: Classifier,
    folder: Path,
    feed: Feed,
    tracker: Tracker,
    listener: Listener,
    say: Callable[[str], None],
    resumed: Checkpoint | None,
    rehearse: Rehearsal,
    began: float,
    device: Device,
) -> Trained:
    assert plan.weights is not None  # only a dry run has none
    augmentation = _augmentation(plan, folder, tracker)
    budget = plan.config.training.time_budget
    n_measured = len(plan.data.side("test")) or len(plan.data.side("val"))

    store = BestWeights(folder, say)

    def seconds_left() -> float | None:
        if budget is None:
            return None
        return (
            budget
            - (time.monotonic() - began)
            - rehearse.seconds_of_export(n_measured, plan.config.evaluation)
        )

    with (
        (folder / LOG).open("a", encoding="utf-8") as log,
        warnings_to(say, log),
        system_metrics(tracker.metrics, folder),
    ):
        task = Task(
            classifier=classifier,
            training=balance_classes(plan.data.side("train"), plan.config.training.balance),
            validation=plan.data.side("val"),
            augmentation=augmentation,
            config=plan.config,
            listener=Recording(listener, tracker, log),
            on_best=store,
            before_training=rehearse,
            on_decision=lambda decision: report_decision(decision, folder, tracker, log, say),
            on_flip_harm=lambda harm: say(flip_words(harm, plan, log)),
            feed=feed,
            problem=plan.data.problem,
            checkpoints=CheckpointWriter(
                folder / CHECKPOINTS, plan.config.training.checkpoint_seconds
            ),
            backbone_facts=backbone_facts(plan.backbone, plan.weights, plan.image_size),
            feature_folder=feature_folder(plan.config.data, plan.weights),
            seconds_left=seconds_left,
            device=device,
            say=lambda line: say_and_keep(line, say, log),
        )
        trained = train_classifier(task, resumed)
        store.finish(trained.classifier)
        return trained


def _augmentation(plan: Plan, folder: Path, tracker: Tracker) -> Augmentation:
    """Take the colours of the training pictures, and keep them and a sheet of views."""
    training = plan.data.side("train")
    colours = fit_colour_pca(decoded_pictures(training))
    augmentation = Augmentation(
        plan.recipe, plan.image_size, colours, plan.config.augment.transforms
    )
    facts = dataclasses.asdict(colours)
    (folder / "colour_pca.json").write_text(json.dumps(facts, indent=2) + "\n")
    write_sheet(training, augmentation, folder / "augmentation.png", seed=plan.config.seed)
    for name in ("colour_pca.json", "augmentation.png"):
        tracker.artifact(folder / name)
    return augmentation


def _end(folder: Path, state: str, outcome: dict[str, Any]) -> None:
    # On a full disk the error that led here is what counts; or nothing had begun.
    with contextlib.suppress(OSError, ConfigError):
        record = read_record(folder)
        write_record(folder, dataclasses.replace(record, state=state, outcome=outcome))


def _finish(tracker: Tracker, state: Any) -> str | None:
    try:
        tracker.finish(state)
    except (TrackingError, OSError) as error:
        return str(error)
    return None
