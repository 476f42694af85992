"""The head: features of the frozen backbone once, then the best linear head on them.

No gradient steps: the head is solved for a path of penalties in seconds, and validation
chooses among them. Each point of the path counts as an epoch in reports.
"""

import time
from typing import Any

import numpy as np

from tl.augment.flip_harm import flip_harm, probe_predictions
from tl.data.batches import evaluation_batches, training_batches
from tl.errors import TrainingError
from tl.features import extract_features
from tl.heads import set_unit, standardise, standardised, unit_of
from tl.training.objectives import Objective, objective_of
from tl.training.probe import Solution, Table, measure, solve_path
from tl.training.progress import HEAD, EpochRecord
from tl.training.task import Task
from tl.transforms import mirrors

FEATURE_BATCH = 64
MIRRORED_PICTURES = 500  # enough to see 5 % of harm, and never a long pass
PENALTIES = tuple(float(10**power) for power in np.arange(0.5, -5.01, -0.25))
"""From so strong that classes hardly differ to so weak that pictures are learnt by heart."""
PENALTY = PENALTIES[7]
"""Where no validation can choose: between the best ones of flower photographs, 0.03 and 0.1."""
WORSE_AT_MOST = 3
"""Points of the path without a better validation loss; it has one valley, so more cannot pay."""
Arrays = tuple[Any, Any, Any]


def train_head(task: Task) -> list[EpochRecord]:
    """Solve the head on cached features of the plain and the augmented views."""
    arrays, held_out, mirrored = _extract(task)
    if held_out is not None and mirrored is not None:
        _report_flip_harm(task, arrays, held_out, mirrored)
    _refuse_no_numbers(arrays[0], held_out)
    head = task.classifier.head
    standardise(head, arrays[0])
    set_unit(head, *arrays[1:])
    n_outputs = head.output_shape[-1]
    objective = objective_of(task.problem, n_outputs, unit_of(head))
    training = Table(standardised(head, arrays[0]), *arrays[1:])
    validation = None
    if held_out is not None:
        validation = Table(standardised(head, held_out[0]), *held_out[1:])
    given = task.config.training.penalty
    usual = PENALTIES if validation else (PENALTY,)
    # A loss that bends more takes a stronger penalty to be held as straight; they were chosen on
    # one class a picture, whose loss bends by 1/4.
    bend = 4 * objective.bend
    penalties = (given,) if given else tuple(bend * penalty for penalty in usual)
    smoothing = task.config.training.label_smoothing
    task.listener.phase_started(HEAD, len(penalties), 1)
    records: list[EpochRecord] = []
    began, iterations, best_loss, best_at = time.perf_counter(), 0, np.inf, 0
    for point, solution in enumerate(
        solve_path(training, n_outputs, penalties, objective, smoothing), start=1
    ):
        iterations += solution.iterations
        metrics = _metrics(solution, training, validation, smoothing, objective)
        loss = metrics.get("val_loss", metrics["loss"])
        best = loss < best_loss
        if best:
            best_loss, best_at = loss, point
            head.get_layer("logits").set_weights([solution.kernel, solution.bias])
            task.on_best()
        seconds = time.perf_counter() - began
        records.append(
            EpochRecord(
                phase=HEAD,
                epoch=point,
                step=iterations,
                seconds=seconds,
                images_per_second=solution.evaluations * len(training) / max(1e-9, seconds),
                metrics=metrics,
                best=best,
            )
        )
        task.listener.step_done(HEAD, point, 1, len(training))
        task.listener.epoch_done(records[-1])
        if point - best_at >= WORSE_AT_MOST:
            break
        began = time.perf_counter()
    return records


def _refuse_no_numbers(features: Any, held_out: Arrays | None) -> None:
    """Stop before a head is solved that would never be better than nothing."""
    for table in (features, *([] if held_out is None else [held_out[0]])):
        if not np.isfinite(table).all():
            raise TrainingError(
                "the backbone's features of some pictures are not finite, so no head can learn "
                "from them. Its weights may be damaged; with mixed precision, try "
                "--set training.mixed_precision=off"
            )


def _metrics(
    solution: Solution,
    training: Table,
    validation: Table | None,
    smoothing: float,
    objective: Objective,
) -> dict[str, float]:
    """Return what Keras would report of the head, and its penalty."""
    metrics = {"penalty": solution.penalty}
    for prefix, table in (("", training), ("val_", validation)):
        if table is not None:
            outputs = solution.outputs(table.features)
            loss, score = measure(outputs, table.labels, table.weights, objective, smoothing)
            metrics |= {f"{prefix}loss": loss, f"{prefix}{objective.score_name}": score}
    return metrics


def _extract(task: Task) -> tuple[Arrays, Arrays | None, Arrays | None]:
    """Return (features, labels, weights) of the training views, validation, and it mirrored.

    The first rows of the training views are the plain pictures.
    """
    views, size = task.config.augment.feature_views, task.classifier.image_size
    passes = [
        (evaluation_batches(task.training, size, batch_size=FEATURE_BATCH), len(task.training))
    ]
    if views:
        augmented = training_batches(
            task.training,
            task.augmentation,
            batch_size=FEATURE_BATCH,
            seed=task.config.seed,
            feed=task.feed,
        )
        passes.append((augmented, views * len(task.training)))
    if task.validation:
        plain = evaluation_batches(task.validation, size, batch_size=FEATURE_BATCH)
        passes.append((plain, len(task.validation)))
    # The probe that compares them knows one class a picture.
    comparable = task.validation and task.problem == "single_label"
    mirrored = comparable and mirrors(task.augmentation.transforms())
    if mirrored:
        some = [task.validation[place] for place in _compared(task)]
        flipped = evaluation_batches(some, size, batch_size=FEATURE_BATCH).map(_mirror)
        passes.append((flipped, len(some)))
    task.listener.phase_started("features", 1, sum(-(-n // FEATURE_BATCH) for _, n in passes))
    done = 0

    def on_batch(images: int) -> None:
        nonlocal done
        done += 1
        task.listener.step_done("features", 1, done, images)

    tables = [
        extract_features(task.classifier.backbone, batches, n_pictures=n, on_batch=on_batch)
        for batches, n in passes
    ]
    flipped_table = tables.pop() if mirrored else None
    held_out = tables.pop() if task.validation else None
    features, labels, weights = (np.concatenate(column) for column in zip(*tables, strict=True))
    return (features, labels, weights), held_out, flipped_table


def _compared(task: Task) -> list[int]:
    """Return the places of the validation pictures that are looked at mirrored, all classes."""
    count = len(task.validation)
    return [int(place) for place in np.arange(0, count, max(1, -(-count // MIRRORED_PICTURES)))]


def _mirror(batch: Any) -> Any:
    images, labels, weights = batch
    return np.ascontiguousarray(images[:, :, ::-1]), labels, weights


def _report_flip_harm(task: Task, training: Arrays, held_out: Arrays, mirrored: Arrays) -> None:
    """Measure on a probe of its own: the head learns from mirrored views too."""
    plain = len(task.training)
    places = _compared(task)
    harm = flip_harm(
        *probe_predictions(
            training[0][:plain], training[1][:plain], held_out[0][places], mirrored[0]
        ),
        labels=mirrored[1],
    )
    if harm is not None:
        task.on_flip_harm(harm)
