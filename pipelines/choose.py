"""Which backbone to take for a dataset: a linear probe on the features of each that is at hand.

    tl choose --dataset flower_photos

What it finds on real photographs is in docs/choose.md. The features are those that fine-tuning
begins with, and are kept for it.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.choice import Choice, Tried, ranking_lines
from pipelines.plan import Plan
from pipelines.try_backbone import Started, Surveyed, features_of, logme_of, start, survey
from tl.config import RunConfig
from tl.data.example import Dataset
from tl.data.prepare import PreparedData
from tl.data.strata import Rows, strata_of, stratified_order, units_of
from tl.durations import duration_words
from tl.errors import ConfigError, DatasetError, TrainingError, WeightsError
from tl.evaluation.ranking import Candidate, Ranking, rank
from tl.training.cost_estimate import update_cost
from tl.training.devices import prepare_device
from tl.training.probe_budget import (
    ROOM,
    Pace,
    Work,
    affordable_share,
    expected_seconds,
    probed_values,
)
from tl.training.unseen import Judging, plan_judging, scoring_of, unseen_outputs
from tl.zoo.backbones import Backbone, find_backbone
from tl.zoo.weights import Weights, backbones_at_hand, local_weights

LEAST_PICTURES = 1000
"""A sample is no smaller: accuracies are then known to 3 points."""
LEAST_A_CLASS = 20
AUTO_BUDGET_S = 60.0
"""Of the choice before a run with ``--backbone auto``; less where the run has a budget itself."""
AUTO_SHARE = 0.1
"""Of such a budget."""


class NoTime(ConfigError):
    """Say that a time budget is too small even for the cheapest backbone, and what would do.

    Attributes:
        needed_s: seconds that would do.
    """

    def __init__(self, message: str, needed_s: float) -> None:
        super().__init__(message)
        self.needed_s = needed_s


def choose(
    config: RunConfig,
    data: PreparedData,
    *,
    budget_s: float,
    candidates: Sequence[tuple[Backbone, Weights]] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Choice:
    """Rank backbones by what probes on their features know of a dataset; never the network.

    They are tried from cheap to dear. Where the budget does not allow all pictures, one sample is
    taken for all; what does not fit then is named with the time it would take.

    Args:
        config: of the run that would follow.
        data: of `pipelines.plan.plan_data`; its test pictures are not looked at.
        budget_s: seconds, from now.
        candidates: backbones with weights of this machine; None for all whose pretrained weights
            are here.
        say: receives one-line reports of what happens.

    Raises:
        ConfigError: weights are named; or the budget is too small for the cheapest.
        WeightsError: no backbone can be used.
    """
    if candidates is None and config.model.weights != "auto":
        raise ConfigError(
            f"model.weights = {config.model.weights!r}: backbones are compared with the pretrained "
            "weights that are on this machine; leave it out"
        )
    clock = _Clock(time.perf_counter(), budget_s)
    prepare_device(config.training)
    pool = _pool(data, config.seed)
    faults: list[tuple[str, str]] = []
    if candidates is None:
        candidates, faults = _at_hand(config)
    surveyed = [survey(row, weights, config, pool.pictures) for row, weights in candidates]
    surveyed.sort(key=lambda one: one.multiply_adds)
    works = [_work(one) for one in surveyed]
    sample: _Sample | None = None
    pace = Pace(0, 0.0, 0.0)
    probed: list[_Probed] = []
    not_tried: list[tuple[str, float]] = []
    for place, (one, work) in enumerate(zip(surveyed, works, strict=True)):
        began = time.perf_counter()
        if sample is not None:  # the first has to start before anything can be told
            expected = expected_seconds(work, pace, len(pool.pictures), sample.share)
            if expected > clock.left_s():
                not_tried.append((one.row.name, expected))
                continue
        try:
            started = start(one, config, pool.pictures)
            pace = _pace(started, began, pace.value_s)
            if sample is None:
                sample = _sample(works[place:], pace, pool, data, config, clock)
            expected = _rest_s(work, pace, len(pool.pictures), sample.share)
            if expected > clock.left_s():
                not_tried.append((one.row.name, pace.start_s + expected))
                continue
            say(_progress(one, sample, expected))
            probed.append(_probe(started, sample, data, config, began))
            pace = dataclasses.replace(pace, value_s=probed[-1].value_s)
        except (WeightsError, TrainingError) as error:
            faults.append((one.row.name, str(error)))
    if sample is None or not probed:
        raise WeightsError(f"no backbone can be compared here: {_fault_words(faults)}")
    return Choice(
        ranking=_ranking(probed, sample, data, config.seed),
        tried={one.tried.name: one.tried for one in probed},
        not_tried=tuple(not_tried),
        faults=tuple(faults),
        judged=sample.judging.words,
        n_pictures=len(sample.pictures),
        n_pool=len(pool.pictures),
        seconds=time.perf_counter() - clock.began,
    )


def settle_backbone(plan: Plan, say: Callable[[str], None]) -> Plan:
    """Choose among the candidates of a plan; one without any is returned as it is."""
    if not plan.candidates:
        return plan
    of_run = plan.config.training.time_budget
    budget_s = AUTO_BUDGET_S if of_run is None else min(AUTO_BUDGET_S, AUTO_SHARE * of_run)
    say(f"choosing the backbone, in at most about {duration_words(budget_s)}")
    try:
        choice = choose(plan.config, plan.data, budget_s=budget_s, say=say)
    except NoTime as error:
        row, why = plan.backbone, str(error)
        if of_run is not None:
            why = (
                f"{duration_words(budget_s)} of the time budget are too short to choose in; "
                f"--time-budget {math.ceil(error.needed_s / AUTO_SHARE)}s would do, or name one "
                "with --backbone"
            )
        reason = f"{row.name} is taken untried: {why}"
        say(f"warning: {reason}")
    else:
        for line in ranking_lines(choice):
            say(line)
        row = find_backbone(choice.ranking.recommended)
        reason = f"{row.name}: {choice.ranking.reason}"
    size = plan.config.model.image_size
    named_size = (size, size) if size else None
    return dataclasses.replace(
        plan,
        backbone=row,
        weights=local_weights(row, image_size=named_size),
        image_size=named_size or row.image_size,
        backbone_reason=reason,
        candidates=(),
    )


@dataclass(frozen=True, slots=True)
class _Clock:
    began: float
    budget_s: float

    def left_s(self) -> float:
        return self.began + self.budget_s - time.perf_counter()


@dataclass(frozen=True, slots=True, eq=False)
class _Pool:
    """Training and validation pictures, in an order of which every beginning is a fair sample.

    Attributes:
        pictures: all of them.
        validates: bool (pictures,), which are validation.
        strata: int64 (pictures,), what kind each is of.
    """

    pictures: Dataset
    validates: NDArray[np.bool_]
    strata: Rows


@dataclass(frozen=True, slots=True, eq=False)
class _Sample:
    """The beginning of a pool that all backbones are tried on, and who judges among it."""

    pictures: Dataset
    validates: NDArray[np.bool_]
    share: float
    judging: Judging


@dataclass(frozen=True, slots=True, eq=False)
class _Probed:
    """What probes on a backbone said.

    Attributes:
        tried: what was measured beside it.
        outputs: float32 (pictures, n_outputs).
        targets: of the pictures.
        readable: bool (pictures,).
        value_s: seconds of probing for each feature of each picture.
    """

    tried: Tried
    outputs: NDArray[np.float32]
    targets: NDArray[Any]
    readable: NDArray[np.bool_]
    value_s: float


def _pool(data: PreparedData, seed: int) -> _Pool:
    pictures = data.side("train", "val")
    validates = np.array([side == "val" for side in data.sides if side != "test"])
    strata = strata_of(pictures)
    # Each side keeps its share of every class.
    order = stratified_order(2 * strata + validates, seed)
    return _Pool(pictures.take(order), validates[order], strata[order])


def _at_hand(
    config: RunConfig,
) -> tuple[list[tuple[Backbone, Weights]], list[tuple[str, str]]]:
    """Return what there is, and what is here but cannot be used."""
    side = config.model.image_size
    size = (side, side) if side else None
    found, faults = [], []
    for row in backbones_at_hand(image_size=size):
        try:
            weights = local_weights(row, image_size=size)
            assert weights is not None  # it is at hand
            found.append((row, weights))
        except WeightsError as error:
            faults.append((row.name, str(error)))
    if not found:
        raise WeightsError(
            f"no backbone has pretrained weights on this machine ({_fault_words(faults)}); "
            "docs/zoo.md says where they are looked for"
        )
    return found, faults


def _fault_words(faults: Sequence[tuple[str, str]]) -> str:
    return "; ".join(f"{name}: {why}" for name, why in faults) or "none was found"


def _work(one: Surveyed) -> Work:
    missing = int((~one.stored).sum())
    return Work(one.row.name, one.multiply_adds, one.row.feature_size, missing)


def _pace(started: Started, began: float, value_s: float) -> Pace:
    return Pace(
        multiply_adds=started.surveyed.multiply_adds,
        picture_s=1 / started.pictures_per_second,
        start_s=time.perf_counter() - began,
        value_s=value_s,
    )


def _rest_s(work: Work, pace: Pace, n_pictures: int, share: float) -> float:
    """Return what a backbone that has started will still take."""
    return expected_seconds(work, dataclasses.replace(pace, start_s=0.0), n_pictures, share)


def _sample(
    works: Sequence[Work],
    pace: Pace,
    pool: _Pool,
    data: PreparedData,
    config: RunConfig,
    clock: _Clock,
) -> _Sample:
    """Decide which pictures all backbones are tried on, the first of which has started.

    Raises:
        NoTime: not even the first can be tried on the fewest pictures that tell something.
    """
    count = len(pool.pictures)
    classes = 0 if data.problem == "regression" else len(data.class_names)
    least = min(count, max(LEAST_PICTURES, LEAST_A_CLASS * classes))
    share = affordable_share(works, pace, count, clock.left_s(), least / count)
    rest_s = _rest_s(works[0], pace, count, share)
    if rest_s > clock.left_s():
        # Room for the machine to be a bit slower the next time.
        needed_s = math.ceil((clock.budget_s - clock.left_s() + rest_s) / ROOM)
        raise NoTime(
            f"{duration_words(clock.budget_s)} are too short: {works[0].name}, the cheapest "
            f"backbone here, alone takes about {needed_s} s for {least:,} of {count:,} pictures; "
            f"pass --time-budget {needed_s}s or more",
            needed_s,
        )
    taken = count if share == 1 else max(least, int(share * count))
    pictures, validates = pool.pictures.take(np.arange(taken)), pool.validates[:taken]
    sides = data.pictures.examples.sides
    given = config.data.dedupe or (sides is not None and "val" in sides)
    judging = plan_judging(
        validates,
        pool.strata[:taken],
        units_of(pictures),
        given=given,
        seed=config.seed,
    )
    return _Sample(pictures, validates, taken / count, judging)


def _progress(one: Surveyed, sample: _Sample, expected_s: float) -> str:
    count = len(sample.pictures)
    stored = int(one.stored[:count].sum())
    kept = f", {stored:,} of them with stored features" if stored else ""
    return f"{one.row.name}: {count:,} pictures{kept}, about {duration_words(expected_s)}"


def _probe(
    started: Started, sample: _Sample, data: PreparedData, config: RunConfig, began: float
) -> _Probed:
    """Run a backbone over the pictures and let them judge its probes."""
    surveyed = started.surveyed
    table, pictures_per_second = features_of(started, sample.pictures)
    extracted = time.perf_counter()
    features, targets, weights = table.of_stages([-1]), table.targets, table.weights
    objective = scoring_of(data.problem, len(data.class_names), targets)
    outputs = unseen_outputs(features, targets, weights, sample.judging, objective)
    learnt = ~sample.validates & (weights > 0)
    evidence = logme_of(features[learnt], targets[learnt], data.problem)
    probing_s = time.perf_counter() - extracted
    epoch_s = data.side_counts()["train"] / pictures_per_second
    stages_of = {"last": config.training.last_stages, "all": None}
    return _Probed(
        tried=Tried(
            name=surveyed.row.name,
            image_size=surveyed.image_size,
            parameters=surveyed.row.parameters,
            multiply_adds=surveyed.multiply_adds,
            logme=evidence,
            pictures_per_second=pictures_per_second,
            epoch_s={
                strategy: epoch_s * update_cost(surveyed.costs, n_stages)
                for strategy, n_stages in stages_of.items()
            },
            n_stored=table.stored,
            seconds=time.perf_counter() - began,
        ),
        outputs=outputs,
        targets=targets,
        readable=weights > 0,
        value_s=probing_s / probed_values(*features.shape),
    )


def _ranking(probed: Sequence[_Probed], sample: _Sample, data: PreparedData, seed: int) -> Ranking:
    """Rank on the pictures that judge and that every backbone could read."""
    readable = np.logical_and.reduce([one.readable for one in probed])
    rows = sample.judging.rows
    rows = rows[readable[rows]]
    if not len(rows):
        raise DatasetError(
            "none of the pictures that would judge the backbones can be read, or all have weight 0"
        )
    targets = probed[0].targets
    candidates = [
        Candidate(one.tried.name, one.tried.multiply_adds, one.outputs[rows]) for one in probed
    ]
    objective = scoring_of(data.problem, len(data.class_names), targets)
    return rank(candidates, targets[rows], data.problem, objective, seed)
