"""Answer pictures with a SavedModel on disk or with a running server.

tl predict models/flowers rose.jpg
tl predict grpc://127.0.0.1:8500/flowers rose.jpg
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from serving import Client
from serving.errors import ServingError, Unreachable
from tl.data.decode import check_size, servable_bytes
from tl.errors import ConfigError, DatasetError, PredictionError


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one picture.

    Attributes:
        file: as given.
        labels: best first; empty where the answer is a value.
        scores: probabilities of ``labels``.
        value: the number said of it, or None.
        abstain: whether the model would rather leave it to a person; None where it does not say.
        ood_score: how unlike the pictures that it knows, above 1 for few of these; None likewise.
    """

    file: str
    labels: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    value: float | None = None
    abstain: bool | None = None
    ood_score: float | None = None


def predict(
    target: str,
    files: Sequence[Path],
    *,
    ca: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
) -> tuple[list[Prediction], list[str]]:
    """Ask a model about picture files.

    Args:
        target: a model's folder, a version's folder, ``http://host:port[/model]`` or
            ``grpc://host:port[/model]``, with TLS ``https://`` or ``grpcs://``.
        files: pictures of any format that training takes.
        ca: PEM file of who signed the server's certificate; None trusts whom this machine does.
        certificate: PEM file that proves to the server who asks, with ``key``.
        key: PEM file of the certificate's private key.

    Returns:
        The predictions of the readable pictures, in order, and one message for each other file.

    Raises:
        PredictionError: no answer.
        ConfigError: no model there, or files for TLS and no server.
    """
    is_server = "://" in target
    tls = {"ca": ca, "certificate": certificate, "key": key}
    given = [name for name, path in tls.items() if path is not None]
    if given and not is_server:
        raise ConfigError(
            f"--{given[0]} is for a server's https:// or grpcs://, and {target} is a folder: leave "
            "it out, or give the server's address"
        )
    names: list[str] = []
    faults: list[str] = []

    def readable() -> Iterator[bytes]:
        for file in files:
            try:
                picture = _read(file)
            except PredictionError as error:
                faults.append(str(error))
            else:
                names.append(str(file))
                yield picture

    pictures = readable()
    first = next(pictures, None)
    if first is None:
        return [], faults
    every = chain([first], pictures)
    answers = (
        _ask_server(target, every, names, tls) if is_server else _ask_saved_model(target, every)
    )
    # The names of pictures are known before their answers are.
    return [_prediction(answer, names[place]) for place, answer in enumerate(answers)], faults


def _prediction(answer: dict[str, Any], file: str) -> Prediction:
    if "outputs" in answer:
        return Prediction(file, value=float(answer["outputs"]))
    if not answer.keys() >= {"labels", "scores"}:
        raise PredictionError(
            f"the model answers with {', '.join(sorted(answer))}, and not with labels and scores "
            "or outputs, as models of tl do"
        )
    labels, scores = answer["labels"], answer["scores"]
    abstain, strange = answer.get("abstain"), answer.get("ood_score")
    return Prediction(
        file,
        tuple(map(_text, labels)),
        tuple(map(float, scores)),
        abstain=None if abstain is None else bool(abstain),
        ood_score=None if strange is None else float(strange),
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


def _ask_server(
    url: str,
    pictures: Iterable[bytes],
    names: Sequence[str],
    tls: Mapping[str, Any],
) -> Iterator[dict[str, Any]]:
    try:
        with Client(url, **tls) as client:
            yield from client.predict_each(pictures)
    except ServingError as error:
        concerned = [] if isinstance(error, Unreachable) else [names[i] for i in error.pictures]
        error.about = " to ".join(concerned[:1] + concerned[1:][-1:])
        raise PredictionError(str(error)) from error


def _ask_saved_model(folder: str, pictures: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    from pipelines.evaluate import find_version
    from tl.evaluation.served import load_served_model

    answer = load_served_model(find_version(Path(folder))).predict(list(pictures))
    for row in zip(*answer.values(), strict=True):
        yield dict(zip(answer, row, strict=True))


def _text(label: Any) -> str:
    return label.decode() if isinstance(label, bytes) else str(label)
