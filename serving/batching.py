"""Gather requests of a signature into batches, by TensorFlow's own C++ scheduler.

A signature's operations become a function that the operation `BatchFunction` runs: calls of a
session that reach it at the same time wait there, go through the function together, and each goes
on with its own rows.

Where a model has the pair `decode` and `predict_image`, whose one after the other is
`serving_default`, each request decodes its own pictures, at the same time as others, and only the
network is batched.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from serving.config import BatchOptions

DECODE, AFTER_DECODE = "decode", "predict_image"

# The scheduler knows queues by their names: one name twice in a process, and requests of one model
# are answered by another.
_number = itertools.count()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a signature is in a graph.

    Attributes:
        feeds: name of an input -> name of the tensor.
        fetches: name of an output -> name of the tensor.
        batch_rows: name of the tensor that says for each row how many were run with it; empty
            where requests are not gathered.
    """

    feeds: Mapping[str, str]
    fetches: Mapping[str, str]
    batch_rows: str = ""


def has_pair(signatures: Mapping[str, Any], name: str) -> bool:
    """Tell whether a signature is `decode` and then `predict_image`, by names and types."""
    if name in (DECODE, AFTER_DECODE) or not signatures.keys() >= {DECODE, AFTER_DECODE}:
        return False
    whole, first, then = (signatures[one] for one in (name, DECODE, AFTER_DECODE))
    return (
        _types(whole.inputs) == _types(first.inputs)
        and _types(first.outputs) == _types(then.inputs)
        and _types(whole.outputs) == _types(then.outputs)
    )


def can_batch(signature: Any) -> bool:
    """Tell whether inputs and outputs all have an axis of rows, as many as a request likes."""
    infos = [*signature.inputs.values(), *signature.outputs.values()]
    return bool(signature.inputs and signature.outputs) and all(
        info.WhichOneof("encoding") in (None, "name")
        and (
            info.tensor_shape.unknown_rank
            or (bool(info.tensor_shape.dim) and info.tensor_shape.dim[0].size == -1)
        )
        for info in infos
    )


def batched(graph: Any, endpoint: Endpoint, label: str, options: BatchOptions) -> Endpoint:
    """Add a batched way through the operations of an endpoint.

    Args:
        graph: not finalised.
        endpoint: whose inputs and outputs all have an axis of rows.
        label: model, version and signature, to tell queues apart in traces.
        options: sizes and times.

    Returns:
        An endpoint with the same feeds.
    """
    tensors = [graph.get_tensor_by_name(endpoint.feeds[one]) for one in sorted(endpoint.feeds)]
    names = list(dict.fromkeys(endpoint.fetches.values()))
    *outputs, batch_rows = _batch(graph, tensors, tensors, names, label, options)
    of_name = dict(zip(names, outputs, strict=True))
    fetches = {output: of_name[name] for output, name in endpoint.fetches.items()}
    return Endpoint(endpoint.feeds, fetches, batch_rows)


def decoded_apart(
    graph: Any, decode: Endpoint, then: Endpoint, label: str, options: BatchOptions
) -> Endpoint:
    """Add a way on which each request runs `decode` itself, and then a batched endpoint.

    Returns:
        An endpoint with the feeds of the first and the fetches of the second.
    """
    between = [graph.get_tensor_by_name(decode.fetches[one]) for one in sorted(then.feeds)]
    replaced = [graph.get_tensor_by_name(then.feeds[one]) for one in sorted(then.feeds)]
    names = list(dict.fromkeys(then.fetches.values()))
    *outputs, batch_rows = _batch(graph, between, replaced, names, label, options)
    of_name = dict(zip(names, outputs, strict=True))
    fetches = {output: of_name[name] for output, name in then.fetches.items()}
    return Endpoint(decode.feeds, fetches, batch_rows)


def _batch(
    graph: Any,
    rows: Sequence[Any],
    replaced: Sequence[Any],
    names: Sequence[str],
    label: str,
    options: BatchOptions,
) -> list[str]:
    """Add a `BatchFunction` from tensors of rows to copies of some tensors; return their names.

    One more follows them: for each row, how many were run with it.

    Args:
        graph: that has all of them.
        rows: what is gathered.
        replaced: the tensors in whose place the gathered ones come.
        names: of the tensors that are wanted.
        label: for the queue's name.
        options: sizes and times.
    """
    definition = tf.compat.v1.graph_util.extract_sub_graph(
        graph.as_graph_def(), sorted({name.split(":")[0] for name in names})
    )
    # Variables and tables stay where they are; the function is handed them.
    handles = {
        output.name: output
        for node in definition.node
        if not node.input
        for output in graph.get_operation_by_name(node.name).outputs
        if output.dtype == tf.resource
    }

    def copied(*gathered: Any) -> Any:
        capture = tf.compat.v1.get_default_graph().capture
        places = {name: capture(handle) for name, handle in handles.items()}
        places |= {old.name: new for old, new in zip(replaced, gathered, strict=True)}
        outputs = tf.import_graph_def(
            definition, input_map=places, return_elements=list(names), name=""
        )
        n_rows = tf.shape(gathered[0])[0]
        return [*outputs, tf.fill([n_rows], n_rows)]

    specs = [tf.TensorSpec(one.shape, one.dtype) for one in replaced]
    with graph.as_default():
        inner = tf.function(copied, autograph=False).get_concrete_function(*specs)
        # `BatchFunction` runs its function as it is; a call within it is optimised when it is
        # first made: constants are folded, operations fused.
        outer = tf.function(lambda *gathered: inner(*gathered), autograph=False)
        function = outer.get_concrete_function(*specs)
        outputs = tf.raw_ops.BatchFunction(
            in_tensors=list(rows),
            captured_tensors=function.captured_inputs,
            f=function,
            Tout=[one.dtype for one in function.outputs],
            num_batch_threads=options.num_batch_threads,
            max_batch_size=options.max_batch_size,
            batch_timeout_micros=options.batch_timeout_micros,
            max_enqueued_batches=options.max_enqueued_batches,
            allowed_batch_sizes=_allowed(options),
            enable_large_batch_splitting=options.splits_large,
            shared_name=f"{label}/{next(_number)}",
            batching_queue=label,
        )
    return [one.name for one in outputs]


def _allowed(options: BatchOptions) -> list[int]:
    """Return the sizes that the operation is given, whose last one says where it splits."""
    if options.allowed_batch_sizes or not options.splits_large:
        return list(options.allowed_batch_sizes)
    return list(range(1, options.max_execution_batch_size + 1))  # all of them: nothing is padded


def _types(infos: Mapping[str, Any]) -> list[tuple[str, int]]:
    return sorted((name, info.dtype) for name, info in infos.items())
