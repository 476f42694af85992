"""Run an exported model over encoded pictures, as a server would."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tl.errors import PredictionError
from tl.manifest import read_manifest
from tl.map_ahead import map_ahead
from tl.words import first_line

BATCH = 32
CORES = os.cpu_count() or 1
Picture = TypeVar("Picture")


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A loaded SavedModel.

    Attributes:
        path: the version's folder.
        loaded: what TensorFlow gave; its variables live as long as it does.
        manifest: ``assets.extra/tl.json``, or empty for a model that tl did not export.
    """

    path: Path
    loaded: Any
    manifest: dict[str, Any]

    def predict(self, files: Sequence[bytes]) -> dict[str, NDArray[Any]]:
        """Return ``labels`` (n, k) and ``scores`` (n, k) of encoded pictures, or ``outputs`` (n,).

        Raises:
            PredictionError: a picture that the graph cannot decode.
        """
        parts = [
            self._call("serving_default", image_bytes=tf.constant(files[start : start + BATCH]))
            for start in range(0, len(files), BATCH)
        ]
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}

    def answers(self, files: Iterable[bytes]) -> NDArray[np.float32]:
        """Return the probabilities of all classes, (n, n_classes), or values, (n, 1).

        The row of a picture that the graph cannot decode is NaN: one bad picture in a thousand is
        no reason to lose the figure, and the caller says which it was.
        """
        return self.judge(files)["answers"]

    def judge(self, files: Iterable[bytes]) -> dict[str, NDArray[Any]]:
        """Return ``answers`` as above, and what else the model says: ``abstain``, ``ood_score``."""
        parts = list(map_ahead(self._judge_batch, _chunks(files), threads=CORES, ahead=2 * CORES))
        if not parts:
            return {"answers": np.empty((0, self.n_outputs), np.float32)}
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    @property
    def n_outputs(self) -> int:
        """Number of probabilities of a picture, or 1 for a value."""
        ((_, output),) = self.loaded.signatures["predict_tensor"].structured_outputs.items()
        return int(output.shape[-1]) if output.shape.rank == 2 else 1

    def mean_answers(
        self,
        pictures: Sequence[Picture],
        views_of: Callable[[Picture], Iterable[NDArray[np.uint8]]],
    ) -> NDArray[np.float32]:
        """Return the answers averaged over the views of each picture, (n, n_outputs).

        Args:
            pictures: whatever ``views_of`` makes views from, in a thread of its own.
            views_of: gives groups of (count, height, width, 3) at the model's size; none for a
                picture that cannot be read, whose row is NaN.
        """

        def mean(picture: Picture) -> NDArray[np.float32]:
            answers = [self._view_answers(views) for views in views_of(picture)]
            if not answers:
                return np.full((1, self.n_outputs), np.nan, np.float32)
            result: NDArray[np.float32] = np.concatenate(answers).mean(axis=0, keepdims=True)
            return result

        parts = map_ahead(mean, pictures, threads=CORES, ahead=2 * CORES)
        return np.concatenate([np.empty((0, self.n_outputs), np.float32), *parts])

    def _judge_batch(self, files: Sequence[bytes]) -> dict[str, NDArray[Any]]:
        try:
            views = self._call("decode", image_bytes=tf.constant(files))["image"]
        except PredictionError:
            if len(files) == 1:
                height, width = self.image_size
                said = self.judge_views(np.zeros((1, height, width, 3), np.uint8))
                return {**said, "answers": np.full_like(said["answers"], np.nan)}
            parts = [self._judge_batch([one]) for one in files]
            return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return self.judge_views(views)

    def judge_views(self, views: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """Do as `judge` does with views, uint8 (n, height, width, 3)."""
        if "assess" in self.loaded.signatures:
            said = self._call("assess", image=tf.constant(views))
        else:  # exported before there was one
            said = self._call("predict_tensor", image=tf.constant(views, tf.float32))
        answers = said.pop("probabilities", said.pop("outputs", None))
        assert answers is not None
        return {"answers": answers.reshape(len(views), -1), **said}

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the views."""
        _, inputs = self.loaded.signatures["predict_tensor"].structured_input_signature
        _, height, width, _ = inputs["image"].shape
        return int(height), int(width)

    def _view_answers(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        answers: NDArray[np.float32] = self.judge_views(views)["answers"]
        return answers

    def _call(self, signature: str, **inputs: Any) -> dict[str, NDArray[Any]]:
        try:
            answer = self.loaded.signatures[signature](**inputs)
        except tf.errors.InvalidArgumentError as error:
            raise PredictionError(
                f"{self.path} cannot decode a picture: {error.message.splitlines()[0][:200]}"
            ) from error
        return {key: value.numpy() for key, value in answer.items()}


def _chunks(files: Iterable[bytes]) -> Iterator[list[bytes]]:
    chunk: list[bytes] = []
    for file in files:
        chunk.append(file)
        if len(chunk) == BATCH:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def load_served_model(path: Path) -> ServedModel:
    """Load a version's folder.

    Raises:
        PredictionError: no SavedModel, or a damaged one.
    """
    try:
        loaded = tf.saved_model.load(str(path))
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise PredictionError(f"cannot load the SavedModel {path}: {first_line(error)}") from error
    return ServedModel(path, loaded, read_manifest(path))
