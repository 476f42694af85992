"""Write a trained model as a SavedModel by the project's contract."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tl.errors import ExportError
from tl.evaluation.caution import Caution
from tl.export.graph import NO_CAUTION, served_network
from tl.problem import Problem


def write_saved_model(
    model: keras.Model,
    folder: Path,
    *,
    class_names: Sequence[str],
    image_size: tuple[int, int],
    problem: Problem = "single_label",
    caution: Caution = NO_CAUTION,
) -> None:
    """Save a model with the signatures of the contract; needs neither tl nor Keras to run.

    Args:
        model: (batch, height, width, 3) in [0, 255] -> (logits or values, features).
        folder: an existing folder that receives the SavedModel.
        class_names: in label order.
        image_size: (height, width).
        problem: what the network answers.
        caution: what is said beside the answers.

    Raises:
        ExportError: TensorFlow could not write it; a full disk among others.
    """

    def run(image: Any) -> Any:
        return model(image, training=False)

    variables = [variable.value for variable in model.variables]
    served = served_network(problem, run, variables, class_names, image_size, caution)
    try:
        tf.saved_model.save(served, str(folder), signatures=served.signatures())
    except tf.errors.OpError as error:
        raise ExportError(
            f"cannot write the SavedModel below {folder.parent}: {error.message}. Free some space "
            "or choose another --output; no version was added"
        ) from error
