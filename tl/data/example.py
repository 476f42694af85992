"""The values that the data side hands on: one labelled picture, and a table of them."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from tl.data.contents import Contents, Files, Stamp
from tl.errors import DatasetError
from tl.problem import Problem

Side = Literal["train", "val", "test"]
SIDES: tuple[Side, ...] = ("train", "val", "test")
Target = int | NDArray[np.float32]
"""What a network learns of a picture: its class, a 1 for each of its classes (n_classes,), or its
value (1,)."""


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled picture, in encoded form.

    Attributes:
        key: what messages call it: its path relative to the dataset, with ``/``.
        label: index into the dataset's class names; the first of several.
        contents: where its bytes lie.
        row: its place there.
        side: the side of the split that the dataset itself gives, or None.
        group: pictures of one group stay on one side of a split; None is a group of its own.
        weight: in the loss, 0 or more.
        labels: all class indices of a picture that may have several, else empty.
        vector: its target where that is not its label.
    """

    key: str
    label: int
    contents: Contents = field(repr=False)
    row: int = 0
    side: Side | None = None
    group: str | None = None
    weight: float = 1.0
    labels: tuple[int, ...] = ()
    vector: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)

    @property
    def target(self) -> Target:
        """What a network learns of it."""
        return self.label if self.vector is None else self.vector

    @property
    def path(self) -> Path | None:
        """The picture's file, or None where it has none of its own."""
        return self.contents.path(self.row) if isinstance(self.contents, Files) else None

    def read(self) -> bytes:
        """Return the encoded picture.

        Raises:
            DatasetError: the file is gone or may not be read.
        """
        try:
            return self.contents.read(self.row)
        except OSError as error:
            raise DatasetError(
                f"cannot read {self.key}: {error.strerror or error} ({error.filename})"
            ) from error

    def stamp(self) -> Stamp | None:
        """Return what tells whether the bytes changed."""
        return self.contents.stamp(self.row)


Column = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset(Sequence[Example]):
    """Labelled pictures as columns, and a sequence of `Example`, with the names of their classes.

    Columns and not a list of examples: a million rows open in seconds and in little memory.

    Attributes:
        name: for people and for the experiment store.
        class_names: in the order of the labels; of numbers, the one name of what they measure.
        keys: str, what messages call a picture.
        labels: int32, the class of each, the first of several.
        contents: where the bytes lie.
        rows: int64, the place of each picture in ``contents``.
        sides: str or None, the side of the split that the dataset itself gives.
        groups: str or None, what has to stay on one side.
        weights: float32, in the loss.
        identities: content hashes that the dataset itself gives, sha256 in hexadecimal digits.
        label_sets: tuples of class indices where a picture may have several labels.
        values: float32, the number of each picture where that is what is learned; all labels are 0.
        ignored: files that are no pictures by their name.
        skipped: place and reason of every row that was left out.
    """

    name: str
    class_names: tuple[str, ...]
    keys: Column = field(repr=False)
    labels: NDArray[np.int32] = field(repr=False)
    contents: Contents = field(repr=False)
    rows: NDArray[np.int64] = field(repr=False)
    sides: Column | None = field(default=None, repr=False)
    groups: Column | None = field(default=None, repr=False)
    weights: NDArray[np.float32] | None = field(default=None, repr=False)
    identities: Column | None = field(default=None, repr=False)
    label_sets: Column | None = field(default=None, repr=False)
    values: NDArray[np.float32] | None = field(default=None, repr=False)
    ignored: int = 0
    skipped: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> "Dataset": ...
    def __getitem__(self, index: int | slice) -> "Example | Dataset":
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        return Example(
            key=self.keys[index],
            label=int(self.labels[index]),
            contents=self.contents,
            row=int(self.rows[index]),
            side=None if self.sides is None else self.sides[index],
            group=None if self.groups is None else self.groups[index],
            weight=1.0 if self.weights is None else float(self.weights[index]),
            labels=() if self.label_sets is None else self.label_sets[index],
            vector=self._vector(index),
        )

    @property
    def problem(self) -> Problem:
        """What its columns ask for."""
        if self.values is not None:
            return "regression"
        return "single_label" if self.label_sets is None else "multi_label"

    def _vector(self, place: int) -> NDArray[np.float32] | None:
        if self.values is not None:
            return self.values[[place]]
        if self.label_sets is None:
            return None
        vector = np.zeros(len(self.class_names), np.float32)
        vector[list(self.label_sets[place])] = 1
        return vector

    def answers(self) -> list[str]:
        """Return what each picture is labelled with, in words."""
        if self.values is not None:
            return [str(value) for value in self.values]
        names = self.class_names
        if self.label_sets is None:
            return [names[label] for label in self.labels.tolist()]
        return [" and ".join(names[label] for label in labels) for labels in self.label_sets]

    def labels_of(self, place: int) -> tuple[int, ...]:
        """Return every label of a picture."""
        if self.label_sets is None:
            return (int(self.labels[place]),)
        labels: tuple[int, ...] = self.label_sets[place]
        return labels

    def take(self, indices: NDArray[np.integer[Any]]) -> "Dataset":
        """Return the pictures at some places, in that order."""

        def chosen(column: Column | None) -> Any:
            return None if column is None else column[indices]

        return Dataset(
            name=self.name,
            class_names=self.class_names,
            keys=self.keys[indices],
            labels=self.labels[indices],
            contents=self.contents,
            rows=self.rows[indices],
            sides=chosen(self.sides),
            groups=chosen(self.groups),
            weights=chosen(self.weights),
            identities=chosen(self.identities),
            label_sets=chosen(self.label_sets),
            values=chosen(self.values),
            ignored=self.ignored,
            skipped=self.skipped,
        )

    def class_counts(self) -> dict[str, int]:
        """Return the number of pictures of every class, in label order."""
        if self.label_sets is not None:
            counts = Counter(label for labels in self.label_sets for label in labels)
            return {name: counts[label] for label, name in enumerate(self.class_names)}
        found = np.bincount(self.labels, minlength=len(self.class_names))
        return dict(zip(self.class_names, found.tolist(), strict=True))


def column(values: Sequence[Any]) -> Column:
    """Return an array of Python objects; numpy would make strings of one length of them."""
    return np.fromiter(values, object, len(values))


def stack_targets(targets: Sequence[Target]) -> NDArray[Any]:
    """Return class indices as int32 (n,), others as float32 (n, width)."""
    return np.array(targets, np.int32 if isinstance(targets[0], int) else np.float32)


def fingerprint(identities: Sequence[str], answers: Sequence[str]) -> str:
    """Return a hash over what the pictures are and how they are labelled.

    Neither paths nor times nor the order count: the same pictures under the same class names
    have the same fingerprint anywhere. 32 hexadecimal digits (MLflow takes at most 36).
    """
    lines = sorted(
        f"{identity} {answer}" for identity, answer in zip(identities, answers, strict=True)
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]
