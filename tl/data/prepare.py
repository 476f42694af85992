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
class PreparedData:
    """Readable pictures, each on one side.

    Attributes:
        dataset: as opened, unreadable pictures included.
        examples: the readable ones, sorted by key.
        identities: their content hashes.
        sides: train, val or test of each.
        fingerprint: of the readable pictures and their labels.
        unreadable: key and reason of every picture that is left out.
        formats: number of pictures by format.
    """

    dataset: Dataset
    examples: tuple[Example, ...] = field(repr=False)
    identities: tuple[str, ...] = field(repr=False)
    sides: tuple[Side, ...] = field(repr=False)
    fingerprint: str
    unreadable: tuple[tuple[str, str], ...] = field(repr=False)
    formats: Mapping[str, int]

    def side(self, side: Side) -> list[Example]:
        """Return the pictures of one side."""
        return [one for one, its in zip(self.examples, self.sides, strict=True) if its == side]

    def split(self) -> dict[str, Side]:
        """Return the side by identity."""
        return dict(zip(self.identities, self.sides, strict=True))

    def counts(self) -> dict[str, dict[str, int]]:
        """Return ``{"train": {"daisy": 105, ...}, ...}``."""
        seen = Counter(
            (side, example.label) for side, example in zip(self.sides, self.examples, strict=True)
        )
        return {
            side: {name: seen[side, label] for label, name in enumerate(self.dataset.class_names)}
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
    dataset = open_dataset(spec)
    examples, identities, unreadable, formats = _readable(dataset, config, cache, on_progress)
    earlier = read_split(Path(config.split_file)) if config.split_file else None
    sides = assign_sides(
        identities,
        [example.label for example in examples],
        class_names=dataset.class_names,
        seed=seed,
        val_fraction=config.val_fraction,
        test_fraction=config.test_fraction,
        given=[example.side for example in examples],
        earlier=earlier,
    )
    print_of = fingerprint(identities, [one.label for one in examples], dataset.class_names)
    return PreparedData(
        dataset, tuple(examples), tuple(identities), tuple(sides), print_of, unreadable, formats
    )


def _readable(
    dataset: Dataset, config: DataConfig, cache: Path | None, on_progress: Callable[[int], None]
) -> tuple[list[Example], list[str], tuple[tuple[str, str], ...], dict[str, int]]:
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
    return (
        [one for one, _ in good],
        [look.identity for _, look in good],
        unreadable,
        dict(Counter(look.kind for _, look in good)),
    )
