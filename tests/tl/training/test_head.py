"""The head phase notices flips that change what a picture is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tl.augment.flip_harm import FlipHarm
from tl.errors import TrainingError
from tl.features import FeatureTable
from tl.training.gather import Gatherer, refuse_no_numbers
from tl.training.progress import Silent
from tl.training.task import Task
from tl.training.tuning import train_classifier

Setup = Callable[..., dict[str, Any]]


def train(setup: dict[str, Any]) -> list[FlipHarm]:
    told: list[FlipHarm] = []
    train_classifier(Task(**setup, on_flip_harm=told.append))
    return told


@pytest.fixture
def arrows(tmp_path: Path) -> Any:
    """Pictures that are bright on the left or on the right: mirrored, each is the other class."""
    from tl.config import DataConfig
    from tl.data.prepare import prepare_data

    rng = np.random.default_rng(0)
    for name, side in (("left", slice(0, 16)), ("right", slice(16, 32))):
        (tmp_path / name).mkdir()
        for number in range(30):
            picture = rng.integers(0, 80, (32, 32, 3), np.uint8)
            picture[:, side] += np.uint8(120)
            ramp = np.linspace(0, 50, 16).astype(np.uint8)[None, :, None]
            picture[:, side] += ramp if name == "left" else ramp[:, ::-1]
            Image.fromarray(picture).save(tmp_path / name / f"{number:02}.png")
    return prepare_data(str(tmp_path), DataConfig(val_fraction=0.4, test_fraction=0.1), seed=0,
                        cache=None)  # fmt: skip


def test_flips_that_leave_the_class_are_left_in_peace(training_setup: Setup) -> None:
    assert train(training_setup(**{"training.strategy": "features"})) == []


def test_mirrored_pictures_of_other_classes_are_told(training_setup: Setup, arrows: Any) -> None:
    setup = training_setup(**{"training.strategy": "features"})
    setup |= {"training": arrows.side("train"), "validation": arrows.side("val")}

    (harm,) = train(setup)

    assert harm.lost > 0.5 * harm.n_pictures
    assert set(harm.pair) == {0, 1}


def test_nothing_is_measured_where_the_recipe_does_not_mirror(
    training_setup: Setup, arrows: Any
) -> None:
    from tl.augment.recipes import Augmentation

    setup = training_setup(**{"training.strategy": "features"})
    still = Augmentation("digits", (32, 32), setup["augmentation"].pca)
    setup |= {"training": arrows.side("train"), "validation": arrows.side("val")}
    setup |= {"augmentation": still}

    assert train(setup) == []


def test_weights_that_are_no_numbers_stop_the_run(training_setup: Setup) -> None:
    setup = training_setup(**{"training.strategy": "features"})
    backbone = setup["classifier"].backbone
    layer = next(one for one in backbone.layers if one.weights)
    layer.set_weights([np.full_like(one, np.nan) for one in layer.get_weights()])

    with pytest.raises(TrainingError, match=f"{layer.name}.* has values that are not finite"):
        train(setup)


def test_many_pictures_are_sampled_and_get_fewer_views(
    training_setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    setup = training_setup(**{"training.strategy": "features"})
    gatherer = Gatherer(Task(**setup))
    whole = gatherer.plain()
    row_bytes, last_bytes = 4 * sum(whole.plain.widths), 4 * whole.plain.widths[-1]
    assert len(whole.plain) == len(setup["training"]) > 10
    monkeypatch.setattr("tl.training.gather.MOST_PLAIN_BYTES", 10 * row_bytes)
    monkeypatch.setattr("tl.training.gather.MOST_VIEW_BYTES", 29 * last_bytes)

    gatherer = Gatherer(Task(**setup, say=said.append))
    taps = setup["classifier"].taps
    some = gatherer.with_views(gatherer.plain(), 4, taps)

    assert len(some.plain) == 10
    assert some.views is not None
    assert len(some.views) == 20  # two of each, where four would not fit
    assert some.views.stages == taps
    assert said == [
        f"heads learn from 10 of the {len(setup['training'])} training pictures, drawn at random: "
        "the features of all would take too much memory"
    ]
    rows = {row.tobytes() for row in whole.plain.features}
    assert all(row.tobytes() in rows for row in some.plain.features)
    assert len(set(some.plain.targets.tolist())) > 1


class Order(Silent):
    """Which phases began, and how often a model had been stored by then."""

    def __init__(self) -> None:
        self.stored = 0
        self.phases: list[tuple[str, int]] = []

    def phase_started(self, phase: str, epochs: int, steps_per_epoch: int) -> None:
        self.phases.append((phase, self.stored))

    def store(self, best: Any) -> None:
        self.stored += 1


def test_many_pictures_have_a_usable_model_before_all_are_looked_at(
    training_setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tl.training.opening.FIRST_PICTURES", 12)
    expected: list[float] = []
    order = Order()
    setup = training_setup(**{"training.strategy": "features"})
    setup |= {"listener": order, "on_best": order.store, "before_training": expected.append}

    train_classifier(Task(**setup))

    names = [name for name, _ in order.phases]
    assert names[:4] == ["a first look", "a first look", "a first head", "features"]
    assert dict(order.phases)["features"] >= 1
    assert expected[0] > 0  # told before the long pass, when there is a model to rehearse with


def test_features_that_are_no_numbers_stop_the_run() -> None:
    table = FeatureTable(
        np.array([[1, np.inf]], np.float32), np.zeros(1, np.int32), np.ones(1, np.float32),
        widths=(2,), stages=(0,),
    )  # fmt: skip

    with pytest.raises(TrainingError, match="features of some pictures are not finite"):
        refuse_no_numbers(table)
