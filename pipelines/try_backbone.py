"""One backbone on the user's pictures: what it costs, what it knows, how fast it is here.

Three steps, each dearer than the one before, so that a time budget can stop between them: `survey`
builds it, `start` loads its weights and measures its speed, `features_of` runs it over all.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipelines.backbone_features import backbone_facts, feature_folder
from pipelines.plan import choose_recipe
from tl.augment.needed_side import needed_side
from tl.augment.recipes import find_recipe
from tl.classifier import stage_features
from tl.config import RunConfig
from tl.data.batches import Feed
from tl.data.example import Dataset
from tl.features import BATCH, FeatureExtractor, FeatureTable, plain_view, stored_rows
from tl.problem import Problem
from tl.training.gather import refuse_no_numbers
from tl.training.logme import logme
from tl.zoo.backbones import Backbone
from tl.zoo.build import build_backbone
from tl.zoo.cost import stage_costs
from tl.zoo.stages import stages
from tl.zoo.weights import Weights

PILOT_S = 2.0
"""Seconds that the measurement of a speed may take, for two batches at least."""
PILOT_BATCHES = 4
LOGME_PICTURES = 5000
"""More would not change the order, and take long with wide features."""


@dataclass(frozen=True, slots=True)
class Surveyed:
    """A backbone that was built, though without its weights.

    Attributes:
        row: of the zoo.
        weights: of this machine.
        image_size: (height, width) in pixels.
        costs: multiply-adds of every stage for one picture.
        width: of all stages' features together, as they are stored.
        stored: bool (pictures,), which pictures of the pool have stored features.
    """

    row: Backbone
    weights: Weights
    image_size: tuple[int, int]
    costs: tuple[int, ...]
    width: int
    stored: NDArray[np.bool_] = field(repr=False)

    @property
    def multiply_adds(self) -> int:
        """Of the whole backbone, for one picture."""
        return sum(self.costs)


@dataclass(frozen=True, slots=True)
class Started:
    """A backbone that runs.

    Attributes:
        surveyed: what it is.
        extractor: runs it.
        feed: how pictures are read.
        pictures_per_second: through it, reading included.
    """

    surveyed: Surveyed
    extractor: FeatureExtractor = field(repr=False)
    feed: Feed
    pictures_per_second: float


def survey(row: Backbone, weights: Weights, config: RunConfig, pool: Dataset) -> Surveyed:
    """Build a backbone with random weights and count what it costs."""
    side = config.model.image_size
    size = (side, side) if side else row.image_size
    model = build_backbone(row, size)
    width = sum(int(one.shape[-1]) for one in stage_features(model))
    stored = stored_rows(
        _identities(pool),
        plain_view(size),
        backbone_facts(row, weights, size),
        feature_folder(config.data, weights),
        width,
        len(pool),
    )
    return Surveyed(row, weights, size, stage_costs(model, stages(model)), width, stored)


def start(surveyed: Surveyed, config: RunConfig, pool: Dataset) -> Started:
    """Load the weights and measure the speed on some pictures, of which nothing is stored.

    Args:
        surveyed: which backbone.
        config: of the run that would follow.
        pool: pictures; the first of them are measured with.

    Raises:
        WeightsError: the weights do not fit.
    """
    model = build_backbone(surveyed.row, surveyed.image_size, surveyed.weights)
    facts = backbone_facts(surveyed.row, surveyed.weights, surveyed.image_size)
    folder = feature_folder(config.data, surveyed.weights)
    extractor = FeatureExtractor(model, facts, folder, config.data.feature_precision)
    recipe = choose_recipe(config.augment, pool.name)
    transforms = config.augment.transforms or find_recipe(recipe)
    # As the run that would follow reads them: large JPEGs decoded smaller.
    feed = Feed(at_least=needed_side(transforms, surveyed.image_size))
    return Started(surveyed, extractor, feed, _speed(extractor, surveyed.image_size, feed, pool))


def features_of(
    started: Started, pictures: Dataset, on_rows: Callable[[int], None] = lambda rows: None
) -> tuple[FeatureTable, float]:
    """Return the features of pictures, and the speed as it is known after that.

    Args:
        started: the backbone.
        pictures: in plain view.
        on_rows: told how many rows are done with every batch.

    Raises:
        TrainingError: the features are no numbers.
    """
    began = time.perf_counter()
    table = started.extractor.extract(
        pictures,
        plain_view(started.surveyed.image_size),
        identities=_identities(pictures),
        feed=started.feed,
        on_batch=on_rows,
    )
    refuse_no_numbers(table)
    computed = len(table) - table.stored
    if computed < PILOT_BATCHES * BATCH:
        return table, started.pictures_per_second
    return table, computed / (time.perf_counter() - began)


def logme_of(
    features: NDArray[np.float32], targets: NDArray[np.generic], problem: Problem
) -> float:
    """Return how much features know of what is to be learnt, on the first pictures.

    Args:
        features: (pictures, n_features), in an order of which every beginning is a fair sample.
        targets: as `tl.features.FeatureTable` has them.
        problem: decides what the targets are.
    """
    some = np.asarray(targets[:LOGME_PICTURES])
    if problem == "single_label":
        some = np.eye(int(some.max()) + 1)[some]
        some = some[:, some.any(axis=0)]
    elif problem == "regression":  # its value would grow with the user's unit
        some = (some - some.mean()) / (some.std() or 1.0)
    return logme(features[:LOGME_PICTURES], some)


def _speed(extractor: FeatureExtractor, size: tuple[int, int], feed: Feed, pool: Dataset) -> float:
    def seconds(n_pictures: int) -> float:
        some = pool.take(np.arange(n_pictures) % len(pool))
        began = time.perf_counter()
        extractor.extract(some, plain_view(size), feed=feed)
        return time.perf_counter() - began

    warm_up = seconds(BATCH)  # the first batch of a graph also plans its memory
    count = BATCH * int(np.clip(round(PILOT_S / warm_up), 2, PILOT_BATCHES))
    return count / seconds(count)


def _identities(pictures: Dataset) -> list[str] | None:
    if pictures.identities is None:
        return None
    return [str(one) for one in pictures.identities]
