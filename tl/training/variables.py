"""All numbers that training changes, by name: to keep them, and to put them back to the bit."""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tl.errors import TrainingError

Arrays = dict[str, NDArray[Any]]


def training_arrays(model: keras.Model) -> Arrays:
    """Return weights, seed generators and the optimizer with its moments and averages."""
    return {name: np.asarray(keras.ops.convert_to_numpy(one)) for name, one in _named(model)}


def restore_training_arrays(model: keras.Model, arrays: Arrays) -> None:
    """Put back what `training_arrays` gave for a model that was built and compiled alike.

    Raises:
        TrainingError: they belong to another model; nothing was changed.
    """
    named = dict(_named(model))
    if named.keys() != arrays.keys():
        raise TrainingError(
            f"the checkpoint holds {len(arrays)} variables and this network and its optimizer have "
            f"{len(named)}; it belongs to another network, or to other settings of its training"
        )
    for name, variable in named.items():
        if arrays[name].shape != tuple(variable.shape):
            raise TrainingError(
                f"{variable.path!r} has shape {arrays[name].shape} in the checkpoint and "
                f"{tuple(variable.shape)} in this network: it belongs to a network with another "
                "number of classes, or to another backbone"
            )
    for name, variable in named.items():
        variable.assign(arrays[name])


def _named(model: keras.Model) -> list[tuple[str, Any]]:
    """Name the variables; by number too, as Keras numbers layers by what else a process built."""
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    return [
        *((f"model/{place}", one) for place, one in enumerate(model.variables)),
        *((f"optimizer/{place}", one) for place, one in enumerate(model.optimizer.variables)),
    ]
