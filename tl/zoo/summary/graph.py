"""The layers of a Keras network in the order of its data, those of nested networks among them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import keras

Shape = tuple[int | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One use of a layer or operation.

    Attributes:
        operation: of Keras.
        name: unique in the network: ``stem/conv`` is `conv` of the nested network `stem`, and
            ``conv:2`` the second use of a layer.
        inputs: positions, in the list of calls, of those whose outputs it takes.
        input_shapes: (batch, ..., channels) of each.
        output_shape: likewise; the first of several.
    """

    operation: Any
    name: str
    inputs: tuple[int, ...]
    input_shapes: tuple[Shape, ...]
    output_shape: Shape


def calls_of(model: keras.Model) -> tuple[Call, ...]:
    """Return the calls from the inputs to the outputs, one branch after the other.

    Keras' own list goes by depth and mixes the branches.
    """
    calls: list[Call] = []
    _visit(model, {}, calls, "", {})
    return tuple(calls)


def _visit(
    model: keras.Model, known: dict[int, int], calls: list[Call], prefix: str, uses: dict[str, int]
) -> list[int]:
    """Append the calls of one network, and return which of them give its outputs.

    Args:
        model: functional or sequential.
        known: identity of a tensor -> position of the call that gives it.
        calls: so far.
        prefix: of names.
        uses: of each name.
    """
    # The last visited first: not by recursion, as networks are deeper than Python's stack.
    waiting = list(reversed(model.outputs))
    while waiting:
        tensor = waiting[-1]
        if id(tensor) in known:
            waiting.pop()
            continue
        node = _node(tensor)
        missing = [one for one in node.input_tensors if id(one) not in known]
        if missing:
            waiting.extend(reversed(missing))
            continue
        _append(node, known, calls, prefix, uses)
    return [known[id(tensor)] for tensor in model.outputs]


def _append(
    node: Any, known: dict[int, int], calls: list[Call], prefix: str, uses: dict[str, int]
) -> None:
    operation = node.operation
    inputs = tuple(known[id(one)] for one in node.input_tensors)
    if _has_graph(operation):
        inner = {id(one): at for one, at in zip(operation.inputs, inputs, strict=True)}
        results = _visit(operation, inner, calls, f"{prefix}{operation.name}/", uses)
        known.update(zip(map(id, node.outputs), results, strict=True))
        return
    name = f"{prefix}{operation.name}"
    uses[name] = uses.get(name, 0) + 1
    calls.append(
        Call(
            operation=operation,
            name=name if uses[name] == 1 else f"{name}:{uses[name]}",
            inputs=inputs,
            input_shapes=_shapes(node.input_tensors),
            output_shape=_shapes(node.outputs)[0],
        )
    )
    known.update({id(one): len(calls) - 1 for one in node.outputs})


def _has_graph(operation: Any) -> bool:
    return isinstance(operation, keras.Model) and bool(getattr(operation, "outputs", None))


def _node(tensor: Any) -> Any:
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]


def _shapes(tensors: Iterable[Any]) -> tuple[Shape, ...]:
    return tuple(tuple(one.shape) for one in tensors)
