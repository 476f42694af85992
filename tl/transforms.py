"""What can be done to a training picture: names, parameters with units and ranges, sources.

A table of plain values, so that a config is checked before anything heavy is imported;
`tl.augment.transforms` has one function for every row. One transform of a run is a mapping such
as ``{"name": "rotate", "p": 0.5, "degrees": 3.0, "border": "reflect"}``, the same in TOML, in
JSON and in a recipe.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tl.errors import ConfigError, nearest

TransformSettings = Mapping[str, str | int | float]


@dataclass(frozen=True, slots=True)
class Number:
    """A parameter that is a number.

    Attributes:
        default: where nothing is said; its type is the type.
        low, high: the range, both ends included.
        unit: of the number, in words.
    """

    default: float
    low: float
    high: float
    unit: str

    def check(self, key: str, value: Any) -> float:
        """Return the value as the default's type, or refuse it."""
        kind = type(self.default)
        if type(value) is int and kind is float:
            value = float(value)
        # NaN is in no range.
        if type(value) is not kind or not self.low <= value <= self.high:
            whole = "a whole number, " if kind is int else ""
            raise ConfigError(
                f"{key} = {value!r}; valid: {whole}{self.low:g} to {self.high:g} ({self.unit})"
            )
        number: float = value
        return number


@dataclass(frozen=True, slots=True)
class Choice:
    """A parameter that is one of a few words; the first is the default."""

    words: tuple[str, ...]
    unit: str

    @property
    def default(self) -> str:
        """Where nothing is said."""
        return self.words[0]

    def check(self, key: str, value: Any) -> str:
        """Return the word, or refuse it."""
        if value not in self.words:
            raise ConfigError(f"{key} = {value!r}; valid: {', '.join(self.words)}")
        word: str = value
        return word


@dataclass(frozen=True, slots=True)
class TransformRow:
    """One row of the table.

    Attributes:
        does: what it does, in words.
        source: paper or book.
        parameters: by name.
        p: default probability; None for what happens to every picture.
    """

    does: str
    source: str
    parameters: Mapping[str, Number | Choice] = field(default_factory=dict)
    p: float | None = 0.5


SIMARD = "Simard et al. 2003"
KRIZHEVSKY = "Krizhevsky et al. 2012, section 4.1"
HE = "He et al. 2015, section 3.4"
HOWARD = "Howard 2013"
HENDRYCKS = "Hendrycks & Dietterich 2019"
SHAPES = "share of the picture's area"
BORDER = Choice(("reflect", "edge", "black", "grey"), "what fills the places beside the picture")

# A crop or view gives the picture its final size; a run has one, `centre` if it names none.
VIEWS = ("random_resized_crop", "resnet_crop", "centre")

TRANSFORMS: dict[str, TransformRow] = {
    "centre": TransformRow(
        "the largest centred area of the model's shape, as in evaluation", KRIZHEVSKY, p=None
    ),
    "random_resized_crop": TransformRow(
        "an area of random size, place and shape, resized", "Szegedy et al. 2015, section 6",
        {
            "min_area": Number(0.25, 0.01, 1, SHAPES),
            "max_area": Number(1.0, 0.01, 1, SHAPES),
            "min_ratio": Number(0.75, 0.1, 10, "width / height"),
            "max_ratio": Number(4 / 3, 0.1, 10, "width / height"),
        },
        p=None,
    ),
    "resnet_crop": TransformRow(
        "short side resized to a random length, then a random patch of the model's size", HE,
        {
            "min_short_side": Number(256.0, 224, 2240, "pixels for a view of 224, in proportion"),
            "max_short_side": Number(480.0, 224, 2240, "pixels for a view of 224, in proportion"),
        },
        p=None,
    ),
    "horizontal_flip": TransformRow("left and right change places", KRIZHEVSKY),
    "vertical_flip": TransformRow("top and bottom change places", "Dieleman et al. 2015"),
    "translate": TransformRow(
        "moved by up to so much each way", SIMARD,
        {"fraction": Number(0.1, 0, 1, "share of height and width"), "border": BORDER},
    ),
    "rotate": TransformRow(
        "turned about the centre, at any fraction of a degree", SIMARD,
        {"degrees": Number(10.0, 0, 180, "largest angle either way"), "border": BORDER},
    ),
    "scale": TransformRow(
        "larger or smaller about the centre", HOWARD,
        {
            "min_factor": Number(0.8, 0.1, 10, "factor, drawn evenly on a log scale"),
            "max_factor": Number(1.25, 0.1, 10, "factor, drawn evenly on a log scale"),
            "border": BORDER,
        },
    ),
    "stretch": TransformRow(
        "wider and lower, or narrower and higher", "Szegedy et al. 2015, section 6",
        {"factor": Number(1.25, 1, 4, "largest change of width / height"), "border": BORDER},
    ),
    "shear": TransformRow(
        "slanted along the rows", SIMARD,
        {"degrees": Number(10.0, 0, 60, "largest angle either way"), "border": BORDER},
    ),
    "perspective": TransformRow(
        "each corner moved, as seen from aside", "Hartley & Zisserman 2003, section 2.3",
        {"shift": Number(0.1, 0, 0.4, "share of the sides that a corner moves"),
         "border": BORDER},
    ),
    "lens_distortion": TransformRow(
        "barrel or pincushion, as a lens bends", "Brown 1966 (radial term)",
        {"strength": Number(0.2, 0, 1, "largest radial coefficient either way"),
         "border": BORDER},
    ),
    "brightness": TransformRow(
        "all values times a factor", HOWARD,
        {"change": Number(0.2, 0, 1, "factor from 1 - x to 1 + x")}, p=1.0,
    ),
    "contrast": TransformRow(
        "distance to the mean grey times a factor", HOWARD,
        {"change": Number(0.2, 0, 1, "factor from 1 - x to 1 + x")}, p=1.0,
    ),
    "saturation": TransformRow(
        "distance to the pixel's own grey times a factor", HOWARD,
        {"change": Number(0.2, 0, 1, "factor from 1 - x to 1 + x")}, p=1.0,
    ),
    "hue": TransformRow(
        "colours turned in the IQ plane", HOWARD,
        {"turns": Number(0.02, 0, 0.5, "turns of the colour circle, either way")}, p=1.0,
    ),
    "pca_jitter": TransformRow(
        "one offset along the principal components of the training pixels", KRIZHEVSKY,
        {"std": Number(0.1, 0, 10, "standard deviation of the draw of each component")}, p=1.0,
    ),
    "grayscale": TransformRow("colours taken away", "Chen et al. 2020, appendix A", p=0.2),
    "salt_and_pepper": TransformRow(
        "pixels made white or black", HENDRYCKS,
        {"amount": Number(0.02, 0, 1, "largest share of the pixels")}, p=0.2,
    ),
    "gaussian_noise": TransformRow(
        "a draw of its own added to every value", HENDRYCKS,
        {"std": Number(10.0, 0, 255, "largest standard deviation, of 255 levels")}, p=0.2,
    ),
    "blur": TransformRow(
        "Gaussian blur", "Chen et al. 2020, appendix A",
        {"sigma": Number(1.5, 0, 50, "largest standard deviation, in pixels of the picture")},
        p=0.2,
    ),
    "jpeg": TransformRow(
        "JPEG compression and back", HENDRYCKS,
        {
            "min_quality": Number(40, 1, 100, "JPEG quality"),
            "max_quality": Number(95, 1, 100, "JPEG quality"),
        },
        p=0.2,
    ),
    "erase": TransformRow(
        "a rectangle painted over (cutout)", "DeVries & Taylor 2017; Zhong et al. 2017",
        {
            "min_area": Number(0.02, 0, 1, SHAPES),
            "max_area": Number(0.2, 0, 1, SHAPES),
            "fill": Choice(("grey", "noise"), "what is painted"),
        },
        p=0.25,
    ),
    "rand_augment": TransformRow(
        "some operations of a list, all at one strength", "Cubuk et al. 2020",
        {
            "operations": Number(2, 0, 8, "one after the other"),
            "magnitude": Number(9, 0, 30, "strength, 30 the largest"),
        },
        p=1.0,
    ),
    "trivial_augment": TransformRow(
        "one operation of that list at a random strength", "Müller & Hutter 2021",
        {"max_magnitude": Number(30, 0, 30, "largest strength")}, p=1.0,
    ),
}  # fmt: skip


def transform(name: str, **parameters: Any) -> TransformSettings:
    """Return the complete settings of one transform: ``transform("rotate", degrees=3, p=0.5)``.

    Raises:
        ConfigError: as `check_transform`.
    """
    return check_transform({"name": name, **parameters}, name)


def check_transform(settings: Mapping[str, Any], key: str) -> TransformSettings:
    """Check one transform and fill in its defaults.

    Args:
        settings: ``name``, and where they differ from the default ``p`` and parameters.
        key: what messages call it, as ``augment.transforms[0]``.

    Raises:
        ConfigError: unknown name or parameter, wrong type, outside of the range.
    """
    name = settings.get("name")
    if name is None:
        raise ConfigError(f"{key} has no name; give one, as in {{name = 'rotate', degrees = 3}}")
    if not isinstance(name, str) or name not in TRANSFORMS:
        hint = nearest(str(name), TRANSFORMS) or "docs/augment.md lists them."
        raise ConfigError(f"{key}: unknown transform {name!r}; {hint}")
    row = TRANSFORMS[name]
    known: dict[str, Number | Choice] = dict(row.parameters)
    if row.p is not None:
        known = {"p": Number(row.p, 0, 1, "probability"), **known}
    key = key if key == name else f"{key} ({name})"
    for given in settings:
        if given != "name" and given not in known:
            hint = nearest(given, known) if known else "it has none."
            raise ConfigError(f"{key} has no parameter {given!r}; {hint}")
    complete: dict[str, str | int | float] = {"name": name}
    for parameter, rule in known.items():
        value = settings.get(parameter, rule.default)
        complete[parameter] = rule.check(f"{key}.{parameter}", value)
    for parameter, smallest in complete.items():
        largest = complete.get(parameter.replace("min_", "max_"), smallest)
        if parameter.startswith("min_") and float(smallest) > float(largest):
            raise ConfigError(
                f"{key}.{parameter} = {smallest!r} is above "
                f"{parameter.replace('min_', 'max_')} = {largest!r}"
            )
    return complete


def check_transforms(
    transforms: tuple[Mapping[str, Any], ...], key: str
) -> tuple[TransformSettings, ...]:
    """Check a list of transforms in their order.

    Raises:
        ConfigError: as `check_transform`, or more than one crop.
    """
    complete = tuple(check_transform(one, f"{key}[{n}]") for n, one in enumerate(transforms))
    views = [str(one["name"]) for one in complete if one["name"] in VIEWS]
    if len(views) > 1:
        raise ConfigError(f"{key} has {' and '.join(views)}; only one can give the final size")
    return complete


def mirrors(transforms: tuple[TransformSettings, ...]) -> bool:
    """Say whether a list shows pictures from left to right and from right to left."""
    return any(one["name"] == "horizontal_flip" and one["p"] != 0 for one in transforms)
