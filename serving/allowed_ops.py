"""What a model may do beside computing: nothing that leaves its process, unless it is allowed.

A SavedModel is a program. Its operations can write files and open connections, with the rights of
the server, for whoever made the model or only sends it a request.
"""

import logging
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from tensorflow.python.saved_model import loader_impl

from serving.errors import Code, LoadError
from serving.reach import reached_nodes
from serving.reaching_ops import REACHING_OPS

_INITIALISERS = ("saved_model_main_op", "legacy_init_op", "saved_model_legacy_init_op")

logger = logging.getLogger(__name__)


def check_operations(path: Path, tags: Collection[str], allowed: Collection[str]) -> None:
    """Refuse a model that may do what is not allowed, before any of it is run.

    Args:
        path: of the version.
        tags: of the graph that is to be loaded.
        allowed: names of operations that may write files or open connections.

    Raises:
        LoadError: with the operations, and how to allow them.
        OSError: the model cannot be read.
    """
    graphs = [
        one
        for one in loader_impl.parse_saved_model(str(path)).meta_graphs
        if set(one.meta_info_def.tags) == set(tags)
    ]
    if not graphs:
        return  # loading says so, in TensorFlow's words
    nodes = reached_nodes(graphs[0].graph_def, _roots(graphs[0]))
    found = sorted({node.op for node in nodes} & REACHING_OPS.keys())
    listed = ", ".join(f"{name} ({REACHING_OPS[name]})" for name in found)
    if refused := [name for name in found if name not in allowed]:
        raise LoadError(
            Code.PERMISSION_DENIED,
            f"{path} has operations that reach out of the model: {listed}. If you trust whoever "
            f"made it, start the server with --allow_ops={','.join(refused)}",
        )
    if found:
        logger.warning("%s has operations that reach out of the model: %s", path, listed)


def _roots(graph: Any) -> Iterator[str]:
    """Yield the names of what requests, and loading itself, will run."""
    for signature in graph.signature_def.values():
        for info in signature.outputs.values():
            yield from _tensors(info)
    for key in _INITIALISERS:
        yield from (name.split(":")[0] for name in graph.collection_def[key].node_list.value)
    saver = graph.saver_def
    yield from (saver.restore_op_name, saver.filename_tensor_name.split(":")[0])


def _tensors(info: Any) -> Iterator[str]:
    """Yield the names of the operations of an output, of sparse and composite ones too."""
    kind = info.WhichOneof("encoding")
    names = [info.name]
    if kind == "coo_sparse":
        sparse = info.coo_sparse
        names = [
            sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name
        ]  # fmt: skip
    elif kind == "composite_tensor":
        for part in info.composite_tensor.components:
            yield from _tensors(part)
        return
    yield from (name.split(":")[0] for name in names)
