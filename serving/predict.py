"""Answer a Predict request on a loaded version: values in, values out, no HTTP and no gRPC.

Both transports come here, so what one refuses, the other refuses in the same words.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from serving.errors import FailedPrecondition, InvalidArgument
from serving.picture_checks import check_pictures
from serving.servable import DEFAULT_SIGNATURE, Array, Servable

_RANK_OF_A_PICTURE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The outputs, and what made them: the version and signature names are the resolved ones.

    `n_examples` are the rows of the first input, and `run_s` the seconds that the model took.
    """

    model_name: str
    version: int
    signature_name: str
    outputs: Mapping[str, Array]
    n_examples: int
    run_s: float


def predict(
    servable: Servable,
    signature_name: str,
    inputs: Mapping[str, Array],
    output_filter: Sequence[str] = (),
    timeout_ms: int = 0,
) -> Prediction:
    """Run one signature of one version.

    Args:
        servable: the version, held by the caller until the answer is written.
        signature_name: empty means `serving_default`.
        inputs: input name -> array.
        output_filter: the outputs to compute, in the order given; empty means all, sorted.
        timeout_ms: ends the wait for the model; 0 waits for ever.

    Raises:
        FailedPrecondition: the model has no such signature.
        InvalidArgument: inputs or output filter do not fit the signature, or a picture would end
            the process.
        TooLarge: a picture has more pixels than the server decodes.
        ModelError: TensorFlow refused the request.
    """
    name = signature_name or DEFAULT_SIGNATURE
    signature = servable.signatures.get(name)
    if signature is None:
        raise FailedPrecondition(f'Serving signature key "{name}" not found.')
    _check_inputs(set(inputs), set(signature.inputs), set(signature.defaults))
    _check_filter(output_filter, sorted(signature.outputs))
    _check_ranks(inputs, signature)
    for array in inputs.values():
        if array.dtype == object:
            check_pictures(array.flat, servable.most_pixels)
    return run_signature(
        servable, name, inputs, output_filter or sorted(signature.outputs), timeout_ms
    )


def run_signature(
    servable: Servable,
    name: str,
    inputs: Mapping[str, Array],
    outputs: Sequence[str],
    timeout_ms: int,
) -> Prediction:
    """Run a signature that the model has on inputs that were checked, and take the time."""
    started_s = time.monotonic()
    arrays = servable.run(name, inputs, outputs, timeout_ms)
    first = next(iter(inputs.values()), None)
    return Prediction(
        model_name=servable.name,
        version=servable.version,
        signature_name=name,
        outputs=arrays,
        n_examples=len(first) if first is not None and first.ndim else 1,
        run_s=time.monotonic() - started_s,
    )


def _check_inputs(given: set[str], declared: set[str], defaulted: set[str]) -> None:
    # TF Serving counts before it looks at names, so a wrong name has another message than a
    # missing input.
    if len(given) > len(declared) or (len(given) < len(declared) and not defaulted):
        raise InvalidArgument(
            f"input size does not match signature: {len(given)}!={len(declared)} "
            f"len({_braced(given)}) != len({_braced(declared)}). "
            f"Sent extra: {_braced(given - declared)}. "
            f"Missing but required: {_braced(declared - given)}."
        )
    missing = sorted(declared - given - defaulted)
    if missing:
        raise InvalidArgument(
            f"Signature input alias: {missing[0]} not found in request and no default value "
            f"provided. Inputs expected to be in the request {_braced(given)}, "
            f"or default input alias set: {','.join(sorted(defaulted))}"
        )
    if given - declared:
        raise InvalidArgument(
            f"Inputs contains invalid name. Used request inputs: "
            f"{','.join(sorted(given & declared))}, request input: {','.join(sorted(given))}"
        )


def _check_ranks(inputs: Mapping[str, Array], signature: Any) -> None:
    """Refuse what kernels of convolutions would end the whole process for.

    TF Serving hands everything on to TensorFlow, and so do we where it can answer.
    """
    for name, array in inputs.items():
        shape = signature.inputs[name].tensor_shape
        rank = len(shape.dim)
        if not shape.unknown_rank and rank >= _RANK_OF_A_PICTURE and array.ndim != rank:
            raise InvalidArgument(
                f"input {name} has {array.ndim} dimensions, and the signature {rank}"
            )


def _check_filter(output_filter: Sequence[str], declared: Sequence[str]) -> None:
    seen: set[str] = set()
    for alias in output_filter:
        if alias not in declared:
            raise InvalidArgument(
                f"output tensor alias not found in signature: {alias} "
                f"Outputs expected to be in the set {_braced(set(declared))}."
            )
        if alias in seen:
            raise InvalidArgument(f"duplicate output tensor alias: {alias}")
        seen.add(alias)


def _braced(names: set[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"
