"""Every classic can learn: it gets 32 pictures right, and fast, which no wrong wiring lets it."""

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

from tl.zoo.backbones import find_backbone
from tl.zoo.build import CLASSICS
from tl.zoo.classic.googlenet import googlenet, with_auxiliary
from tl.zoo.classic.style import PAPER_STYLES

QUICK = ("lenet5", "alexnet", "zfnet")
# These take a minute or two each; what they are made of is in the others, too.
LONG = ("googlenet", "plain34", "resnet34", "resnext50", "inception_v4")
CLASSES = 4


def blobs(side: int) -> Any:
    """Return 32 pictures of 4x4 patches, each of a random colour."""
    patches = np.random.default_rng(0).normal(size=(32, 4, 4, 3))
    large = patches.repeat(-(-side // 4), axis=1).repeat(-(-side // 4), axis=2)
    return large[:, :side, :side].astype(np.float32)


LABELS = np.arange(32) % CLASSES


def marks(name: str) -> Any:
    if name in QUICK:
        return ()
    return pytest.mark.soak if name in LONG else pytest.mark.slow


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in CLASSICS])
def test_a_classic_learns_32_pictures_by_heart(name: str) -> None:
    keras.utils.set_random_seed(0)
    side = find_backbone(name).minimum_size
    # Pictures are not learnt by heart while what was learnt is dropped.
    style = replace(PAPER_STYLES[name], dropout=0.0)
    pixels = keras.Input((side, side, 3))
    model = keras.Model(pixels, CLASSICS[name](pixels, classes=CLASSES, style=style))
    rate = 1e-3 if style.normalisation == "batch" else 3e-4
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])

    # 15 to 65 updates were enough; chance alone would give 1.39 and a quarter.
    for _ in range(20):
        for _ in range(5):
            model.train_on_batch(blobs(side), LABELS)
        value, accuracy = model.test_on_batch(blobs(side), LABELS)
        if accuracy == 1 and value < 0.2:
            break

    assert accuracy == 1
    assert value < 0.2


def losses_of(model: keras.Model, pictures: Any) -> list[float]:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    outputs = model(pictures, training=False)
    keys = ("logits", "auxiliary_1", "auxiliary_2")
    return [float(loss(LABELS[: len(pictures)], outputs[key])) for key in keys]


@pytest.mark.soak
def test_auxiliary_classifiers_learn_with_googlenet_and_are_gone_when_it_is_used() -> None:
    keras.utils.set_random_seed(0)
    pictures = blobs(65)[:8]
    pixels = keras.Input((65, 65, 3))
    style = replace(PAPER_STYLES["googlenet"], dropout=0.0)
    inference = keras.Model(pixels, googlenet(pixels, classes=CLASSES, style=style))
    training = with_auxiliary(inference, CLASSES, style)
    before = losses_of(training, pictures)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    training.compile(keras.optimizers.Adam(3e-4), loss, weighted_metrics=["accuracy"])
    labels = LABELS[:8]

    measured = training.test_on_batch(pictures, labels, return_dict=True)
    trained = training.train_on_batch(pictures, labels, return_dict=True)
    for _ in range(30):
        training.train_on_batch(pictures, labels)

    # Section 5 of the paper: "the losses of the auxiliary classifiers were weighted by 0.3".
    assert trained["loss"] == pytest.approx(before[0] + 0.3 * before[1] + 0.3 * before[2], rel=1e-4)
    assert measured["loss"] == pytest.approx(before[0], rel=1e-4)
    assert set(measured) == {"loss", "accuracy"}
    assert all(now < 0.3 * then for now, then in zip(losses_of(training, pictures), before,
                                                     strict=True))  # fmt: skip
    np.testing.assert_array_equal(inference(pictures), training(pictures)["logits"])
    assert not any("auxiliary" in layer.name for layer in inference.layers)
    lost = training.count_params() - inference.count_params()
    # On 65 pixels the maps of 4a and 4d are 5x5, and pooled to one position.
    assert lost == sum(
        channels * 128 + 128 + 128 * 1024 + 1024 + 1024 * CLASSES + CLASSES
        for channels in (512, 528)
    )
