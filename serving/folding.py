"""Turn the variables of a loaded model into constants, where nothing changes them any more.

TensorFlow can then compute what depends on them alone once, and not for every request: scales of
BatchNorm go into kernels. The folded operations are added to the same graph, so that tables, which
stay what they are, are found there with their contents.
"""

import logging
from collections.abc import Collection, Iterable
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import convert_to_constants

from serving.reach import reached_nodes, writes_state

_PREFIX = "folded"
# A graph is one protobuf message, which ends at 2 GiB, and holds what is folded once a signature.
_MOST_BYTES = 2**29
# What TensorFlow raises for kinds of variables and operations that it has no constants for.
_CANNOT = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)

logger = logging.getLogger(__name__)


def fold_constants(
    session: Any, graph: Any, inputs: Collection[str], outputs: Collection[str]
) -> dict[str, str] | None:
    """Add a copy of what computes some tensors with constants in the place of variables.

    The variables are freed.

    Args:
        session: that holds the variables.
        graph: of the session, not finalised.
        inputs: names of the tensors that requests feed; the copy is fed by the same.
        outputs: names of the tensors that answer.

    Returns:
        The name of the copy of each output; None where variables may change, or fill too much
        memory, or are of a kind that cannot be folded.
    """
    definition = graph.as_graph_def()
    names = sorted({_operation(one) for one in outputs})
    reached = list(reached_nodes(definition, names))
    if writes_state(reached):
        logger.info("variables are not folded: requests may change them")
        return None
    handles = [
        graph.get_operation_by_name(node.name)
        for node in definition.node
        if node.op == "VarHandleOp"
    ]
    if (size := _bytes_of(handles)) > _MOST_BYTES:
        logger.info("variables are not folded: they have %.1f GiB", size / 2**30)
        return None
    try:
        frozen = convert_to_constants.convert_variables_to_constants_from_session_graph(
            session, definition, names
        )
    except (tf.errors.OpError, *_CANNOT) as error:
        logger.info("variables are not folded: %s", error)
        return None
    with graph.as_default():
        tf.import_graph_def(frozen, input_map=_kept(graph, frozen, inputs), name=_PREFIX)
        free = [
            tf.raw_ops.DestroyResourceOp(resource=handle.outputs[0], ignore_lookup_error=True)
            for handle in handles
        ]
    session.run(free)
    return {one: f"{_PREFIX}/{one}" for one in outputs}


def _kept(graph: Any, frozen: Any, inputs: Iterable[str]) -> dict[str, Any]:
    """Return what the copy takes from the graph as it is: inputs, and handles of tables."""
    present = {node.name for node in frozen.node}
    names = [one for one in inputs if _operation(one) in present]
    names += [
        output.name
        for node in frozen.node
        if not node.input and node.op != "Const"  # as which the handles of variables are here
        for output in graph.get_operation_by_name(node.name).outputs
        if output.dtype == tf.resource
    ]
    return {name: graph.get_tensor_by_name(name) for name in names}


def _bytes_of(handles: Iterable[Any]) -> int:
    total = 0
    for handle in handles:
        shape = tf.TensorShape(handle.get_attr("shape"))
        size = tf.as_dtype(handle.get_attr("dtype")).size
        total += (shape.num_elements() or 0) * size
    return total


def _operation(tensor: str) -> str:
    return tensor.split(":")[0]
