"""Answers to batches, to one answer for all pictures or to one a picture."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from serving.client_pictures import Batch
from serving.errors import ClientError, InvalidArgument
from serving.json_tensor import Array

Answer = dict[str, Array]


def join(answers: Sequence[Answer]) -> Answer:
    """Put the answers to consecutive batches behind each other.

    Raises:
        InvalidArgument: there are none.
        ClientError: they do not fit, as those of two versions of a model.
    """
    if not answers:
        raise InvalidArgument("no pictures to predict: give at least one")
    if len(answers) == 1:
        return answers[0]
    names = answers[0].keys()
    try:
        if any(answer.keys() != names for answer in answers):
            raise ValueError("they have other outputs")
        return {name: np.concatenate([answer[name] for answer in answers]) for name in names}
    except ValueError as error:
        raise ClientError(
            f"the answers to {len(answers)} requests do not fit together: {error}. Has the "
            "model's version changed meanwhile, or has an output no row for each picture?"
        ) from error


def rows(batch: Batch, answer: Answer) -> Iterator[dict[str, Any]]:
    """Give the answer to each picture of a batch.

    Raises:
        ClientError: an output has not one row for each picture.
    """
    count = len(batch.pictures)
    for name, array in answer.items():
        if array.shape[:1] != (count,):
            raise ClientError(
                f"output {name!r} of shape {array.shape} has no row for each of {count} pictures: "
                "use predict"
            )
    for row in range(count):
        yield {name: array[row] for name, array in answer.items()}
