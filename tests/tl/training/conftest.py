"""A small classifier on pictures that it can learn."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tl.config_reading import read_config


@pytest.fixture(scope="session")
def training_setup(pictures: Path, settings: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """Function that gives a fresh classifier and the arguments of `train_classifier`."""
    from tl.data.prepare import prepare_data

    plain = {"augment.recipe": "light", "augment.feature_views": 0}
    config = read_config(None, (), {"dataset": str(pictures), **settings, **plain})
    data = prepare_data(str(pictures), config.data, seed=0, cache=None)

    def make(**changes: Any) -> dict[str, Any]:
        import keras
        import numpy as np

        from tl.augment.pca_jitter import fit_colour_pca
        from tl.augment.recipes import Augmentation
        from tl.classifier import build_classifier
        from tl.training.progress import Silent
        from tl.zoo.backbones import find_backbone
        from tl.zoo.weights import resolve_weights

        keras.utils.set_random_seed(0)
        keras.config.set_dtype_policy("float32")
        row = find_backbone("tl_small")
        wanted = read_config(None, (), {"dataset": str(pictures), **settings, **plain, **changes})
        noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
        return {
            "classifier": build_classifier(
                row, n_classes=3, image_size=(32, 32), weights=resolve_weights(row, "tl"),
                dropout=0.2,
            ),
            "training": data.side("train"),
            "validation": data.side("val"),
            "augmentation": Augmentation("light", (32, 32), fit_colour_pca([noise])),
            "config": wanted,
            "listener": Silent(),
            "on_best": lambda best: None,
        }  # fmt: skip

    return make
