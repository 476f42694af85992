"""From what the user typed to pictures with a side each: open, inspect, split. No TensorFlow."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tl.config import DataConfig
from tl.data.example import SIDES, Dataset, Example, Side, fingerprint
from tl.data.inspect import inspect_examples
from tl.data.sources import open_dataset
from tl.data.split import assign_sides, read_split
from tl.errors import DatasetError


@dataclass(frozen=True, slots=True)
class ReadablePictures:
    """The pictures of a dataset that can be read.

    Attributes:
        dataset: as opened, unreadable pictures included.
        examples: the readable ones, in its order.
        identities: their content hashes.
        unreadable: key and reason of every picture that is left out.
        formats: number of pictures by format.
    """

    dataset: Dataset
    examples: tuple[Example, ...] = field(repr=False)
    identities: tuple[str, ...] = field(repr=False)
    unreadable: tuple[tuple[str, str], ...] = field(repr=False)
    formats: Mapping[str, int]

    @property
    def fingerprint(self) -> str:
        """A hash over the identities and the names of their classes."""
        labels = [example.label for example in self.examples]
        return fingerprint(self.identities, labels, self.dataset.class_names)


@dataclass(frozen=True, slots=True)
class PreparedData:
    """Readable pictures, each on one side.

    Attributes:
        pictures: the readable ones.
        sides: train, val or test of each.
    """

    pictures: ReadablePictures
    sides: tuple[Side, ...] = field(repr=False)

    @property
    def class_names(self) -> tuple[str, ...]:
        """In label order."""
        return self.pictures.dataset.class_names

    def side(self, side: Side) -> list[Example]:
        """Return the pictures of one side."""
        pairs = zip(self.pictures.examples, self.sides, strict=True)
        return [example for example, its_side in pairs if its_side == side]

    def split(self) -> dict[str, Side]:
        """Return the side by identity."""
        return dict(zip(self.pictures.identities, self.sides, strict=True))

    def counts(self) -> dict[str, dict[str, int]]:
        """Return ``{"train": {"daisy": 105, ...}, ...}``."""
        pairs = zip(self.sides, self.pictures.examples, strict=True)
        seen = Counter((side, example.label) for side, example in pairs)
        return {
            side: {name: seen[side, label] for label, name in enumerate(self.class_names)}
            for side in SIDES
        }


def prepare_data(
    spec: str,
    config: DataConfig,
    *,
    seed: int,
    cache: Path | None,
    on_progress: Callable[[int], None] = lambda done: None,
) -> PreparedData:
    """Open a dataset, leave out what cannot be read, and split it.

    Args:
        spec: folder or built-in name.
        config: fractions and limits.
        seed: of the split.
        cache: folder that remembers inspected pictures, or None.
        on_progress: told how many pictures have been inspected.

    Raises:
        ConfigError: no such dataset.
        DatasetError: too many unreadable pictures, one class only, or a class too small to split.
    """
    pictures = read_pictures(spec, config, cache=cache, on_progress=on_progress)
    names = pictures.dataset.class_names
    if len(names) < 2:
        raise DatasetError(
            f"{spec} has one class only ({', '.join(names)}); telling pictures apart needs two or "
            "more sub-folders with pictures"
        )
    sides = assign_sides(
        pictures.identities,
        [example.label for example in pictures.examples],
        class_names=names,
        seed=seed,
        val_fraction=config.val_fraction,
        test_fraction=config.test_fraction,
        given=[example.side for example in pictures.examples],
        earlier=read_split(Path(config.split_file)) if config.split_file else None,
    )
    return PreparedData(pictures, tuple(sides))


def read_pictures(
    spec: str,
    config: DataConfig,
    *,
    cache: Path | None,
    on_progress: Callable[[int], None] = lambda done: None,
) -> ReadablePictures:
    """Open a dataset and leave out what cannot be read.

    Args:
        spec: folder or built-in name.
        config: limits.
        cache: folder that remembers inspected pictures, or None.
        on_progress: told how many pictures have been inspected.

    Raises:
        ConfigError: no such dataset.
        DatasetError: more unreadable pictures than the limit.
    """
    dataset = open_dataset(spec)
    looks = inspect_examples(
        dataset.examples,
        max_pixels=round(config.max_megapixels * 1e6),
        cache=cache,
        on_progress=on_progress,
    )
    pairs = list(zip(dataset.examples, looks, strict=True))
    unreadable = tuple((one.key, look.fault) for one, look in pairs if look.fault is not None)
    share = len(unreadable) / len(pairs)
    if share > config.max_unreadable_fraction or len(unreadable) == len(pairs):
        first = "; ".join(f"{key}: {fault}" for key, fault in unreadable[:3])
        raise DatasetError(
            f"{len(unreadable)} of {len(pairs)} pictures cannot be read ({share:.0%}), more than "
            f"data.max_unreadable_fraction = {config.max_unreadable_fraction}. The first: {first}. "
            "Remove or replace them, or raise the limit with --set"
        )
    good = [(one, look) for one, look in pairs if look.fault is None]
    return ReadablePictures(
        dataset,
        tuple(one for one, _ in good),
        tuple(look.identity for _, look in good),
        unreadable,
        dict(Counter(look.kind for _, look in good)),
    )
