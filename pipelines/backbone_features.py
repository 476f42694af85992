"""Under which name, and where, features of a frozen backbone are kept for other runs.

One place, so that what `tl choose` computed is found by the `tl finetune` that follows.
"""

from pathlib import Path
from typing import Any

import keras

from pipelines.run_facts import package_versions
from tl.config import DataConfig
from tl.data.inspect import cache_folder
from tl.zoo.backbones import Backbone
from tl.zoo.weights import Weights


def backbone_facts(
    backbone: Backbone, weights: Weights, image_size: tuple[int, int]
) -> dict[str, Any]:
    """Return all that decides what the frozen backbone says of a view."""
    return {
        "backbone": backbone.name,
        "weights": weights.sha256,
        "size": list(image_size),
        "precision": keras.config.dtype_policy().name,
        "backend": keras.backend.backend(),
        "versions": [keras.__version__, package_versions().get(keras.backend.backend())],
    }


def feature_folder(config: DataConfig, weights: Weights) -> Path | None:
    """Return where features are kept; random weights have none that come again."""
    kept = config.keep_features and weights.sha256 is not None and not weights.partial
    return cache_folder() / "features" if kept else None
