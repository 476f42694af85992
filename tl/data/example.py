"""The values that the data side hands on: one labelled picture, and a set of them."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tl.errors import DatasetError

Side = Literal["train", "val", "test"]
SIDES: tuple[Side, ...] = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled picture, in encoded form.

    Attributes:
        key: what messages call it: its path relative to the dataset, with ``/``.
        label: index into the dataset's class names.
        path: the file, or None where ``data`` holds the bytes.
        data: encoded bytes, or None where ``path`` names the file.
        side: the side of the split that the dataset itself gives, or None.
    """

    key: str
    label: int
    path: Path | None = None
    data: bytes | None = field(default=None, repr=False)
    side: Side | None = None

    def read(self) -> bytes:
        """Return the encoded picture.

        Raises:
            DatasetError: the file is gone or may not be read.
        """
        if self.data is not None:
            return self.data
        assert self.path is not None  # a source gives one of the two
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise DatasetError(
                f"cannot read {self.key}: {error.strerror or error} ({self.path})"
            ) from error


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled pictures with the names of their classes.

    Attributes:
        name: for people and for the experiment store.
        class_names: in the order of the labels.
        examples: in a fixed order (sorted by key).
        ignored: files below the folder that are no pictures by their extension.
    """

    name: str
    class_names: tuple[str, ...]
    examples: tuple[Example, ...] = field(repr=False)
    ignored: int = 0

    def class_counts(self) -> dict[str, int]:
        """Return the number of pictures of every class, in label order."""
        counts = Counter(example.label for example in self.examples)
        return {name: counts[label] for label, name in enumerate(self.class_names)}


def fingerprint(
    identities: Sequence[str], labels: Sequence[int], class_names: Sequence[str]
) -> str:
    """Return a hash over what the pictures are and how they are labelled.

    Neither paths nor times nor the order count: the same pictures under the same class names
    have the same fingerprint anywhere. 32 hexadecimal digits (MLflow takes at most 36).
    """
    lines = sorted(
        f"{identity} {class_names[label]}"
        for identity, label in zip(identities, labels, strict=True)
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]
