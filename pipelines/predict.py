"""Answer pictures with a SavedModel on disk or with a running server.

tl predict models/flowers rose.jpg
tl predict grpc://127.0.0.1:8500/flowers rose.jpg
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.client import Client
from serving.errors import ServingError
from tl.data.decode import check_size, servable_bytes
from tl.errors import DatasetError, PredictionError

URL_BATCH = 16
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one picture.

    Attributes:
        file: as given.
        labels: best first; empty where the answer is a value.
        scores: probabilities of ``labels``.
        value: the number said of it, or None.
    """

    file: str
    labels: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    value: float | None = None


def predict(target: str, files: Sequence[Path]) -> tuple[list[Prediction], list[str]]:
    """Ask a model about picture files.

    Args:
        target: a model's folder, a version's folder, ``http://host:port[/model]`` or
            ``grpc://host:port[/model]``.
        files: pictures of any format that training takes.

    Returns:
        The predictions of the readable pictures, in order, and one message for each other file.

    Raises:
        PredictionError: no answer.
        ConfigError: no model there.
    """
    pictures: dict[Path, bytes] = {}
    faults: list[str] = []
    for file in files:
        try:
            pictures[file] = _read(file)
        except PredictionError as error:
            faults.append(str(error))
    if not pictures:
        return [], faults
    return list(_predict(target, pictures)), faults


def _predict(target: str, pictures: dict[Path, bytes]) -> Iterator[Prediction]:
    data = list(pictures.values())
    if "://" in target:
        answers = _ask(target, data)
    else:
        from pipelines.evaluate import find_version
        from tl.evaluation.served import load_served_model

        answers = [load_served_model(find_version(Path(target))).predict(data)]
    files = iter(pictures)
    for answer in answers:
        if "outputs" in answer:
            for value in answer["outputs"]:
                yield Prediction(str(next(files)), value=float(value))
        else:
            for labels, scores in zip(answer["labels"], answer["scores"], strict=True):
                yield Prediction(
                    str(next(files)), tuple(map(_text, labels)), tuple(map(float, scores))
                )


def _read(file: Path) -> bytes:
    try:
        data = file.read_bytes()
        check_size(data)
        return servable_bytes(data)
    except OSError as error:
        raise PredictionError(f"cannot read {file}: {error.strerror or error}") from error
    except DatasetError as error:
        raise PredictionError(f"{file}: {error}") from error


def _ask(url: str, pictures: list[bytes]) -> list[Answer]:
    try:
        with Client(url) as client:
            return [
                client.predict_bytes(pictures[start : start + URL_BATCH])
                for start in range(0, len(pictures), URL_BATCH)
            ]
    except ServingError as error:
        raise PredictionError(str(error)) from error


def _text(label: Any) -> str:
    return label.decode() if isinstance(label, bytes) else str(label)
