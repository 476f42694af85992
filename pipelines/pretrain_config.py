"""The settings of a pretraining, checked before Keras is imported or a picture is read."""

import contextlib
import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from tl.config import LARGEST_SIDE, AugmentConfig
from tl.errors import ConfigError, nearest
from tl.zoo.backbones import find_backbone

RECIPES = tuple(
    name for name in get_args(get_type_hints(AugmentConfig)["recipe"]) if name != "auto"
)
BESIDE_TRAINING = ("output", "checkpoint", "keep", "licence")
"""Settings that may change when a training goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainConfig:
    """Every knob of pretraining.

    Attributes:
        dataset: folder or built-in name; its val/ or test/ folder measures, else 10 % of it.
        output: the ``.npz`` file of float16 weights; provenance goes beside it as ``.json``.
        checkpoint: folder outside of the checkout that a killed run goes on from.
        backbone: name in the zoo.
        keep: another name of the zoo, to write only the layers that it has.
        image_size: side in pixels of the training views, at last.
        grow_from: side that training begins with, to grow to ``image_size`` in three steps
            (progressive resizing, as in Tan and Le 2021, "EfficientNetV2: smaller models and faster
            training", section 4); None is ``image_size``.
        epochs: passes over the training pictures.
        batch_size: pictures an update.
        learning_rate: peak of the cosine schedule.
        weight_decay: of kernels only.
        recipe: augmentation.
        label_smoothing: share of each label's mass that is spread over all classes (Szegedy et al.
            2016); better pictures for the classes learned, worse features to transfer (Kornblith
            et al. 2021).
        ema: momentum of the moving average of the weights that is measured and written; 0 is none.
        seed: of weights, order and augmentation.
        licence: of the pictures, for the provenance.

    Raises:
        ConfigError: a value that cannot be; files that cannot be written.
    """

    dataset: str
    output: Path
    checkpoint: Path
    backbone: str = "tl_small"
    keep: str | None = None
    image_size: int = 64
    grow_from: int | None = None
    epochs: int = 30
    batch_size: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    recipe: str = "default"
    label_smoothing: float = 0.0
    ema: float = 0.0
    seed: int = 0
    licence: str = "not stated"

    def __post_init__(self) -> None:
        for option, count in (("--epochs", self.epochs), ("--batch-size", self.batch_size)):
            if count < 1:
                raise ConfigError(f"{option} {count}: give 1 or more")
        if not 0 < self.learning_rate <= 10:  # no number is neither
            raise ConfigError(
                f"--learning-rate {self.learning_rate}: give a rate above 0, at most 10"
            )
        for option, share in (("--label-smoothing", self.label_smoothing), ("--ema", self.ema)):
            if not 0 <= share < 1:
                raise ConfigError(f"{option} {share}: give 0 to below 1")
        if not 0 <= self.seed < 2**31:
            raise ConfigError(f"--seed {self.seed}: give 0 to {2**31 - 1}")
        if self.recipe not in RECIPES:
            raise ConfigError(
                f"no recipe is called '{self.recipe}'; {nearest(self.recipe, RECIPES)}"
            )
        row = find_backbone(self.backbone)
        row.check_size((self.image_size, self.image_size))
        if self.image_size > LARGEST_SIDE:
            raise ConfigError(f"--image-size {self.image_size}: give {LARGEST_SIDE} or less")
        lowest = max(8, row.minimum_size)
        if self.grow_from is not None and not lowest <= self.grow_from <= self.image_size:
            raise ConfigError(
                f"--grow-from {self.grow_from}: give a side of {lowest}, which is the least that "
                f"{row.name} takes, to --image-size {self.image_size}"
            )
        if self.keep is not None:
            find_backbone(self.keep)
        if self.output.suffix != ".npz":
            raise ConfigError(f"--output {self.output}: give a name that ends with .npz")
        if self.output.is_dir():
            raise ConfigError(f"--output {self.output} is a folder; give a file in it")

    def check_folders(self) -> None:
        """Refuse folders that cannot be written before hours are spent; none is left behind.

        Raises:
            ConfigError: which, and why.
        """
        for option, folder in (("--output", self.output.parent), ("--checkpoint", self.checkpoint)):
            missing = [one for one in (folder, *folder.parents) if not one.exists()]
            try:
                folder.mkdir(parents=True, exist_ok=True)
                if not os.access(folder, os.W_OK | os.X_OK):
                    raise PermissionError(None, "it may not be written to")
            except OSError as error:
                raise ConfigError(
                    f"{option}: nothing can be written in {folder} ({error.strerror or error}). "
                    "Give a place on a disk that you may write to"
                ) from error
            finally:
                for one in missing:
                    with contextlib.suppress(OSError):  # it was not made
                        one.rmdir()

    def of_training(self) -> dict[str, Any]:
        """Return the settings that a training has to go on with, as JSON keeps them."""
        return {name: value for name, value in self.facts().items() if name not in BESIDE_TRAINING}

    def facts(self) -> dict[str, Any]:
        """Return all settings, as JSON keeps them."""
        return {
            name: str(value) if isinstance(value, Path) else value
            for name, value in dataclasses.asdict(self).items()
        }
