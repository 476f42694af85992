"""Answer Classify and Regress requests on a loaded version: no HTTP and no gRPC.

Signatures are told by their inputs and outputs and not by their method name, as TF Serving does by
default: what Keras and plain TensorFlow export all has the name of Predict.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from serving.errors import FailedPrecondition, InvalidArgument, Unimplemented
from serving.picture_checks import check_pictures
from serving.predict import Prediction, run_signature
from serving.servable import DEFAULT_SIGNATURE, Array, Servable

CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"


def classify(
    servable: Servable, signature_name: str, examples: Sequence[bytes], timeout_ms: int = 0
) -> Prediction:
    """Run a signature with the outputs `classes`, `scores` or both.

    Args:
        servable: the version, held by the caller until the answer is written.
        signature_name: empty means `serving_default`.
        examples: serialised tf.Examples.
        timeout_ms: ends the wait for the model; 0 waits for ever.

    Returns:
        Both outputs, (examples, classes); labels are empty or scores 0 where the model has none.

    Raises:
        InvalidArgument: no such signature, no example, or answers of another shape.
        FailedPrecondition: the signature is not one of classes.
        TooLarge: a picture in an example has more pixels than the server decodes.
        ModelError: TensorFlow refused the request.
    """
    name, signature = _signature(servable, signature_name)
    if len(signature.outputs) not in (1, 2):
        raise InvalidArgument(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    _check_input(signature, "classification")
    wanted = [one for one in ("classes", "scores") if one in signature.outputs]
    if not wanted:
        raise FailedPrecondition(
            'Expected classification signature outputs to contain at least one of "classes" or '
            f'"scores". Signature was: {signature}'
        )
    prediction = _run(servable, name, examples, wanted, timeout_ms)
    outputs = prediction.outputs
    for output, array in outputs.items():
        if array.ndim != 2:
            raise InvalidArgument(
                f"Expected Tensor shape: [batch_size num_classes] but got {_shape(array)}"
            )
        wanted_type = object if output == "classes" else np.float32
        if array.dtype != wanted_type:
            words = {"classes": "DT_STRING", "scores": "DT_FLOAT"}[output]
            raise InvalidArgument(f"Expected {output} Tensor of {words}. Got: {array.dtype}")
        if len(array) != len(examples):
            raise InvalidArgument(
                f"Expected {output} output batch size of {len(examples)}. Got: {len(array)}"
            )
    shape = next(iter(outputs.values())).shape
    classes = outputs.get("classes", np.full(shape, b"", object))
    scores = outputs.get("scores", np.zeros(shape, np.float32))
    if classes.shape != scores.shape:
        raise InvalidArgument(
            "Tensors class and score should match in dim_size(1). Got "
            f"{classes.shape[1]} vs. {scores.shape[1]}"
        )
    return replace(prediction, outputs={"classes": classes, "scores": scores})


def regress(
    servable: Servable, signature_name: str, examples: Sequence[bytes], timeout_ms: int = 0
) -> Prediction:
    """Run a signature with the one output `outputs`; arguments and errors as `classify`.

    Returns:
        `outputs`, float32 (examples,).
    """
    name, signature = _signature(servable, signature_name)
    if len(signature.outputs) != 1:
        raise InvalidArgument("Expected one output Tensor.")
    _check_input(signature, "regression")
    if "outputs" not in signature.outputs:
        raise FailedPrecondition(f"No regression outputs found in SignatureDef: {signature}")
    prediction = _run(servable, name, examples, ["outputs"], timeout_ms)
    values = prediction.outputs["outputs"]
    if values.ndim != 1 and (values.ndim != 2 or values.shape[1] != 1):
        raise InvalidArgument(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "
            f"{_shape(values)}"
        )
    if len(values) != len(examples):
        raise InvalidArgument(
            f"Input batch size did not match output batch size: {len(examples)} vs. {len(values)}"
        )
    if values.dtype != np.float32:
        raise InvalidArgument(f"Expected output Tensor of DT_FLOAT.  Got: {values.dtype}")
    return replace(prediction, outputs={"outputs": values.reshape(-1)})


def checked_tasks(request: Any) -> Sequence[Any]:
    """Return the tasks of a `MultiInferenceRequest`, which all ask one model.

    Raises:
        InvalidArgument: no task, several models, or a signature twice.
        Unimplemented: a task that is neither classification nor regression.
    """
    if not request.tasks:
        raise InvalidArgument("Inference request must specify at least one task")
    first, seen = request.tasks[0].model_spec, set()
    for task in request.tasks:
        spec = task.model_spec
        if not spec.name:
            raise InvalidArgument("Found ModelSpec with an empty model name.")
        if (spec.name, spec.version.value, spec.version_label) != (
            first.name,
            first.version.value,
            first.version_label,
        ):
            raise InvalidArgument(
                "All ModelSpecs in a MultiInferenceRequest must access the same model name."
            )
        name = spec.signature_name or DEFAULT_SIGNATURE
        if name in seen:
            raise InvalidArgument(f"Duplicate evaluation of signature: {name}")
        seen.add(name)
        if task.method_name not in (CLASSIFY, REGRESS):
            raise Unimplemented(f"Unsupported signature method_name: {task.method_name}")
    return list(request.tasks)


def _signature(servable: Servable, signature_name: str) -> tuple[str, Any]:
    name = signature_name or DEFAULT_SIGNATURE
    signature = servable.signatures.get(name)
    if signature is None:
        raise InvalidArgument(f"No signature was found with the name: {name}")
    if len(signature.inputs) != 1:
        raise InvalidArgument("Expected one input Tensor.")
    return name, signature


def _check_input(signature: Any, kind: str) -> None:
    if "inputs" not in signature.inputs:
        raise FailedPrecondition(f"No {kind} inputs found in SignatureDef: {signature}")


def _run(
    servable: Servable,
    name: str,
    examples: Sequence[bytes],
    outputs: Sequence[str],
    timeout_ms: int,
) -> Prediction:
    if not examples:
        raise InvalidArgument("Input is empty")
    check_pictures(examples, servable.most_pixels)
    batch = np.empty(len(examples), object)
    batch[:] = examples
    return run_signature(servable, name, {"inputs": batch}, outputs, timeout_ms)


def _shape(array: Array) -> str:
    return "[" + ",".join(map(str, array.shape)) + "]"
