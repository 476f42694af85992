"""See what an augmentation does to the pictures of a dataset, without training.

tl augment --dataset flower_photos --recipe strong
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.plan import choose_recipe
from tl.augment.contact_sheet import draw_contact_sheet
from tl.augment.pca_jitter import fit_colour_pca
from tl.augment.recipes import Augmentation
from tl.config import RunConfig
from tl.data.batches import decoded_pictures
from tl.data.contents import encode_png
from tl.data.example import Example
from tl.data.inspect import cache_folder
from tl.data.prepare import prepare_data
from tl.errors import ConfigError
from tl.transforms import TransformSettings

SHEET_SIZE = 224  # where the config names no other
PICTURES = 6


@dataclass(frozen=True, slots=True)
class Sheet:
    """A contact sheet on disk.

    Attributes:
        path: the PNG.
        recipe: its name.
        transforms: what is done, in order.
        image_size: (height, width) of the views.
    """

    path: Path
    recipe: str
    transforms: tuple[TransformSettings, ...]
    image_size: tuple[int, int]


def contact_sheet(
    config: RunConfig, output: Path | None = None, *, pictures: int = PICTURES
) -> Sheet:
    """Draw the views that fine-tuning with this config would learn from.

    Args:
        config: dataset, augmentation, image size and seed are read.
        output: the PNG to write; None takes ``augment-<recipe>.png`` here, over an older one.
        pictures: rows of the sheet.

    Raises:
        ConfigError: what the config cannot be, or a file that is there already.
    """
    data = prepare_data(config.dataset, config.data, seed=config.seed, cache=cache_folder())
    training = data.side("train")
    recipe = choose_recipe(config.augment, data.pictures.dataset.name)
    side = config.model.image_size or SHEET_SIZE
    path = output or Path(f"augment-{recipe}.png")
    if output is not None and output.exists():
        raise ConfigError(f"--output {output} is there already; give another name or remove it")
    if not path.parent.is_dir():
        raise ConfigError(f"--output {path}: no folder {path.parent}")
    if path.suffix.lower() != ".png":
        raise ConfigError(f"--output {path}: the sheet is PNG; let its name end with .png")
    if not os.access(path.absolute().parent, os.W_OK | os.X_OK):
        raise ConfigError(f"--output {path}: the folder may not be written to")
    augmentation = Augmentation(
        recipe,
        (side, side),
        fit_colour_pca(decoded_pictures(training)),
        config.augment.transforms,
    )
    write_sheet(training, augmentation, path, seed=config.seed, pictures=pictures)
    return Sheet(path, recipe, augmentation.transforms(), (side, side))


def write_sheet(
    examples: Sequence[Example],
    augmentation: Augmentation,
    path: Path,
    *,
    seed: int,
    pictures: int = PICTURES,
) -> None:
    """Draw some pictures, spread evenly over the examples, and write a PNG."""
    places = np.unique(np.linspace(0, len(examples) - 1, pictures).round().astype(int))
    images = list(decoded_pictures([examples[int(place)] for place in places]))
    size = f"{augmentation.size[0]} x {augmentation.size[1]}"
    title = f"recipe {augmentation.recipe}, seed {seed}, {size} pixels: original, 12 draws"
    sheet = draw_contact_sheet(images, augmentation, seed=seed, title=title)
    path.write_bytes(encode_png(sheet))
