"""From what the user typed to pictures with a side each: open, inspect, split. No TensorFlow."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tl.config import DataConfig
from tl.data.answers import refuse_unlearnable
from tl.data.contents import Files
from tl.data.example import SIDES, Column, Dataset, Side, column, fingerprint
from tl.data.exclude import excluded_places
from tl.data.formats.options import SourceOptions
from tl.data.inspect import inspect_examples
from tl.data.look import look_at
from tl.data.similar import near_duplicate_groups
from tl.data.sources import open_dataset
from tl.data.split import assign_sides, few_shot, read_split
from tl.errors import DatasetError
from tl.problem import Problem

CONTENT_LIMIT = 100_000
"""Pictures up to which ``identity = auto`` reads every file before training."""


SPOT_CHECK = 200
"""Pictures: half a second, and one in ten unreadable ones is certain to show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadablePictures:
    """The pictures of a dataset that can be read.

    Attributes:
        dataset: as opened, unreadable pictures included.
        examples: the readable ones, in its order.
        identities: what tells them apart: content hashes, or keys.
        unreadable: key and reason of every picture that is left out.
        fingerprint: a hash over the identities of all readable ones and their class names; a
            choice among them (few shots) does not change it.
        sizes: int32 (n, 2), height and width of the readable ones, upright; None where no file
            was read.
        kinds: format of each, as `tl.data.decode.picture_kind` names it; None likewise.
    """

    dataset: Dataset
    examples: Dataset = field(repr=False)
    identities: Column = field(repr=False)
    unreadable: tuple[tuple[str, str], ...] = field(repr=False)
    fingerprint: str
    sizes: NDArray[np.int32] | None = field(default=None, repr=False)
    kinds: Column | None = field(default=None, repr=False)

    @property
    def formats(self) -> Mapping[str, int]:
        """Number of pictures by format; empty where no file was read."""
        return {} if self.kinds is None else dict(Counter(self.kinds))


@dataclass(frozen=True, slots=True)
class PreparedData:
    """Readable pictures, each on one side.

    Attributes:
        pictures: the readable ones.
        sides: train, val or test of each.
        left_out: keys of new pictures whose group was on two sides already.
        near_duplicates: pictures that share a side because they are nearly the same as another.
        excluded: keys of pictures that the config names to be left out.
    """

    pictures: ReadablePictures
    sides: tuple[Side, ...] = field(repr=False)
    left_out: tuple[str, ...] = field(default=(), repr=False)
    near_duplicates: int = 0
    excluded: tuple[str, ...] = field(default=(), repr=False)

    @property
    def class_names(self) -> tuple[str, ...]:
        """In label order."""
        return self.pictures.dataset.class_names

    @property
    def problem(self) -> Problem:
        """What is learned of the pictures."""
        return self.pictures.dataset.problem

    def side(self, *sides: Side) -> Dataset:
        """Return the pictures of one side, or of several."""
        return self.pictures.examples.take(self.places(*sides))

    def places(self, *sides: Side) -> NDArray[np.int64]:
        """Return where the pictures of one side, or of several, are among all."""
        places = [place for place, side in enumerate(self.sides) if side in sides]
        return np.array(places, np.int64)

    def split(self) -> dict[str, Side]:
        """Return the side by identity."""
        return dict(zip(self.pictures.identities, self.sides, strict=True))

    def training_order(self) -> str:
        """Return a digest of the training and validation pictures in the order they are seen in."""
        digest = hashlib.sha256()
        answers = self.pictures.examples.answers()
        for identity, answer, side in zip(
            self.pictures.identities, answers, self.sides, strict=True
        ):
            if side != "test":
                digest.update(f"{identity} {answer} {side}\n".encode())
        return digest.hexdigest()[:32]

    def counts(self) -> dict[str, dict[str, int]]:
        """Return ``{"train": {"daisy": 105, ...}, ...}``."""
        return {side: self.side(side).class_counts() for side in SIDES}

    def side_counts(self) -> dict[str, int]:
        """Return the number of pictures of every side."""
        return {side: self.sides.count(side) for side in SIDES}


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
        DatasetError: too many unreadable pictures, one class or value only, or a class too small
            to split.
    """
    pictures = read_pictures(spec, config, cache=cache, on_progress=on_progress)
    excluded: tuple[str, ...] = ()
    if config.exclude:
        # Before the split, whose sides do not change by it; the fingerprint stays the dataset's.
        mask = excluded_places(
            Path(config.exclude), pictures.examples.keys, pictures.identities.tolist()
        )
        excluded = tuple(pictures.examples.keys[mask])
        pictures = _some(pictures, ~mask)
    examples, names = pictures.examples, pictures.dataset.class_names
    refuse_unlearnable(examples, spec)
    labels: list[int | tuple[int, ...]]
    labels = (examples.labels if examples.label_sets is None else examples.label_sets).tolist()
    if config.folds and examples.sides is not None and "val" in examples.sides:
        raise DatasetError(
            f"{spec} gives its own validation pictures, so data.folds = {config.folds} has nothing "
            "to divide; leave one of them out"
        )
    given_groups = examples.groups
    groups: list[list[str | None]] = [] if given_groups is None else [given_groups.tolist()]
    in_groups = 0
    if config.dedupe:
        similar = _similar_groups(pictures, config, on_progress)
        in_groups = len(similar) - similar.count(None)
        groups.append(similar)
    sides = assign_sides(
        pictures.identities.tolist(),
        labels,
        class_names=names,
        seed=seed,
        val_fraction=config.val_fraction,
        test_fraction=config.test_fraction,
        # Of several classes a picture some are rarer than there are sides.
        required=SIDES if examples.label_sets is None else ("train",),
        given=_listed(examples.sides),
        groups=groups,
        earlier=read_split(Path(config.split_file)) if config.split_file else None,
        fold=(config.fold, config.folds) if config.folds else None,
    )
    left_out = tuple(key for key, side in zip(examples.keys, sides, strict=True) if side is None)
    divided = [side is not None for side in sides]
    data = _kept(pictures, sides, divided)
    refuse_unlearnable(data.side("train"), spec)
    data = replace(data, left_out=left_out, near_duplicates=in_groups, excluded=excluded)
    if config.shots is None:
        return data
    kept = few_shot(
        data.pictures.identities.tolist(),
        [one for one, is_divided in zip(labels, divided, strict=True) if is_divided],
        data.sides,
        shots=config.shots,
        seed=seed,
        class_names=names,
    )
    fewer = _kept(data.pictures, data.sides, kept)
    return replace(fewer, left_out=left_out, near_duplicates=in_groups, excluded=excluded)


def _similar_groups(
    pictures: ReadablePictures, config: DataConfig, on_progress: Callable[[int], None]
) -> list[str | None]:
    looks = look_at(
        pictures.examples, max_pixels=round(config.max_megapixels * 1e6), on_progress=on_progress
    )
    names = near_duplicate_groups(looks.signatures, pictures.identities.tolist())
    # Not to be mixed up with the groups that the dataset gives.
    return [None if name is None else f"near-duplicates of {name}" for name in names]


def _kept(
    pictures: ReadablePictures, sides: Sequence[Side | None], mask: list[bool]
) -> PreparedData:
    """Return the pictures of a mask with their sides."""
    if not all(mask):
        pictures = _some(pictures, np.array(mask))
    kept = tuple(side for side, keep in zip(sides, mask, strict=True) if keep and side)
    return PreparedData(pictures, kept)


def _some(pictures: ReadablePictures, mask: NDArray[np.bool_]) -> ReadablePictures:
    return replace(
        pictures,
        examples=pictures.examples.take(np.flatnonzero(mask)),
        identities=pictures.identities[mask],
        sizes=None if pictures.sizes is None else pictures.sizes[mask],
        kinds=None if pictures.kinds is None else pictures.kinds[mask],
    )


def source_options(config: DataConfig, cache: Path | None) -> SourceOptions:
    """Return what a config says of a source; ``cache`` is for downloads and copies."""
    return SourceOptions(
        path_column=config.path_column,
        label_column=config.label_column,
        root=Path(config.root).expanduser() if config.root else None,
        cache=cache,
        problem=config.problem,
    )


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
    dataset = open_dataset(spec, source_options(config, cache))
    by_key = config.identity == "key" or (
        config.identity == "auto" and len(dataset) > CONTENT_LIMIT
    )
    if by_key:
        _spot_check(dataset, config)
        identities = dataset.keys if dataset.identities is None else dataset.identities
        return ReadablePictures(
            dataset=dataset,
            examples=dataset,
            identities=identities,
            unreadable=(),
            fingerprint=fingerprint(identities.tolist(), dataset.answers()),
        )
    looks = inspect_examples(
        dataset,
        max_pixels=round(config.max_megapixels * 1e6),
        cache=cache,
        on_progress=on_progress,
    )
    faults = [
        look.fault or _altered(dataset, place, look.identity) for place, look in enumerate(looks)
    ]
    unreadable = tuple(
        (key, fault) for key, fault in zip(dataset.keys, faults, strict=True) if fault is not None
    )
    _refuse_too_many(dataset, unreadable, len(dataset), config.max_unreadable_fraction)
    good = np.array([place for place, fault in enumerate(faults) if fault is None])
    identities = column([looks[place].identity for place in good])
    examples = replace(dataset.take(good), identities=identities)
    return ReadablePictures(
        dataset=dataset,
        examples=examples,
        identities=identities,
        unreadable=unreadable,
        fingerprint=fingerprint(identities.tolist(), examples.answers()),
        sizes=np.array([(looks[place].height, looks[place].width) for place in good], np.int32),
        kinds=column([looks[place].kind for place in good]),
    )


def _refuse_too_many(
    dataset: Dataset, unreadable: Sequence[tuple[str, str]], looked_at: int, limit: float
) -> None:
    share = len(unreadable) / looked_at
    if share > limit or len(unreadable) == looked_at:
        first = "; ".join(f"{key}: {fault}" for key, fault in unreadable[:3])
        looked = "" if looked_at == len(dataset) else " that were looked at"
        raise DatasetError(
            f"{len(unreadable)} of {looked_at} pictures{looked} cannot be read ({share:.0%}), more "
            f"than data.max_unreadable_fraction = {limit}. The first: {first}. {_way_out(dataset)}"
        )


def _spot_check(dataset: Dataset, config: DataConfig) -> None:
    """Look at some pictures, evenly spread, where not all of them are read before training.

    A wrong root or an unmounted disk shows here, not an hour later.
    """
    if config.max_unreadable_fraction == 1:
        return
    count = min(len(dataset), SPOT_CHECK)
    some = dataset.take(np.linspace(0, len(dataset) - 1, count).round().astype(np.int64))
    looks = inspect_examples(some, max_pixels=round(config.max_megapixels * 1e6))
    unreadable = [
        (key, look.fault) for key, look in zip(some.keys, looks, strict=True) if look.fault
    ]
    _refuse_too_many(dataset, unreadable, count, config.max_unreadable_fraction)


def _way_out(dataset: Dataset) -> str:
    contents = dataset.contents
    if isinstance(contents, Files) and not any(
        one.path.exists() for one in dataset[:3] if one.path
    ):
        return (
            f"Their paths start from {contents.root.absolute()}; if that is not the place, set "
            "data.root"
        )
    return "Remove or replace them, or raise the limit with --set"


def _listed(values: Column | None) -> list[Any] | None:
    return None if values is None else values.tolist()


def _altered(dataset: Dataset, place: int, identity: str) -> str | None:
    """Say that a picture is not the one whose hash the table gives."""
    if dataset.identities is None or dataset.identities[place] == identity:
        return None
    return f"its sha256 is {identity}, not the {dataset.identities[place]} of the table"
