"""What the operations are that signatures reach, through functions, branches and loops too."""

from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import op_def_registry

_DT_RESOURCE = tf.resource.as_datatype_enum

# Operations that take a resource and only look at it, or hand it on to others that are seen too.
_READERS = frozenset(
    {
        "ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape",
        "VarIsInitializedOp", "LookupTableFindV2", "LookupTableSizeV2", "LookupTableExportV2",
        "Identity", "IdentityN", "NoOp", "PartitionedCall", "StatefulPartitionedCall",
        "If", "StatelessIf", "Case", "StatelessCase", "While", "StatelessWhile", "BatchFunction",
        "Switch", "Merge", "Enter", "Exit", "NextIteration", "LoopCond", "DestroyResourceOp",
    }
)  # fmt: skip


def reached_nodes(graph: Any, names: Iterable[str]) -> Iterator[Any]:
    """Yield every `NodeDef` that some operations of a `GraphDef` need, each once.

    Args:
        graph: the `GraphDef`.
        names: of operations in it.
    """
    nodes = {node.name: node for node in graph.node}
    functions = {one.signature.name: one for one in graph.library.function}
    waiting, seen, called = list(names), set(), set()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in nodes:
            continue
        seen.add(name)
        node = nodes[name]
        waiting += [one.lstrip("^").split(":")[0] for one in node.input]
        bodies = list(_functions_of(node))
        yield node
        while bodies:
            body = bodies.pop()
            if body in called or body not in functions:
                continue
            called.add(body)
            for inner in functions[body].node_def:
                bodies += _functions_of(inner)
                yield inner


def writes_state(nodes: Iterable[Any]) -> bool:
    """Tell whether operations may change a variable or a table; what is not known may."""
    return any(_has_resource(node) and node.op not in _READERS for node in nodes)


def _functions_of(node: Any) -> Iterator[str]:
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        yield from (one.name for one in value.list.func)


def _has_resource(node: Any) -> bool:
    definition = op_def_registry.get(node.op)
    if definition is None:
        return bool(node.op.startswith("Assign"))
    return any(one.type == _DT_RESOURCE or one.is_ref for one in definition.input_arg)
