"""The summary of a network: one row a layer, totals, memory. Values only, no Keras objects."""

import math
from dataclasses import dataclass
from typing import Any

import keras

from tl.zoo.summary.arithmetic import FLOAT_BYTES, kilobytes
from tl.zoo.summary.counts import (
    Parameters,
    multiply_adds_of,
    parameters_of,
    pool_operations_of,
)
from tl.zoo.summary.graph import Call, Shape, calls_of
from tl.zoo.summary.receptive_field import ReceptiveField, joined
from tl.zoo.summary.windows import Window, window_of

ADAM_MOMENTS = 2
"""Numbers that Adam keeps for each it trains: running means of the gradient and of its square."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One row, for one picture.

    Attributes:
        name: unique in the network.
        kind: class of the layer.
        inputs: names of the rows whose outputs it takes.
        window: what it moves over its input; None for a layer without one.
        output_shape: without the batch.
        elements: numbers in the output.
        shares_memory: the output is the input in another shape, or the input itself.
        parameters: none where a layer is used again.
        multiply_adds: of convolutions and dense layers.
        pool_operations: values that pooling compares or adds.
        field: what one position sees; None where that is not known.
        activation: name of the nonlinearity within it, ``""`` for none.
        groups: of channels that do not see each other, 1 where all do.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    window: Window | None
    output_shape: tuple[int, ...]
    elements: int
    shares_memory: bool
    parameters: Parameters
    multiply_adds: int
    pool_operations: int
    field: ReceptiveField | None
    activation: str
    groups: int

    @property
    def kilobytes(self) -> float:
        """Memory of the output as float32, in KB of 1024 bytes."""
        return kilobytes(self.elements)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """All rows and what they add up to, for one picture.

    Attributes:
        name: of the network.
        layers: in the order of the data, one branch after the other.
        parameters: of all layers; their ``total`` is what Keras counts.
        multiply_adds: of all layers.
        pool_operations: likewise.
        elements: of all outputs that have memory of their own, the input's among them.
        peak_elements: most that are needed at one time if each output is kept until its last use.
    """

    name: str
    layers: tuple[Layer, ...]
    parameters: Parameters
    multiply_adds: int
    pool_operations: int
    elements: int
    peak_elements: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes that a batch takes in float32, by a model that leaves out a framework's own buffers.

    Attributes:
        batch: pictures.
        parameters: all that Keras counts.
        running: most outputs at one time, while the network only runs.
        gradients: one for each trained parameter.
        moments: two for each, as Adam keeps them.
        activations: all outputs, kept for the way back.
    """

    batch: int
    parameters: int
    running: int
    gradients: int
    moments: int
    activations: int

    @property
    def forward(self) -> int:
        """To run the network."""
        return self.parameters + self.running

    @property
    def training(self) -> int:
        """To train all of it with Adam."""
        return self.parameters + self.gradients + self.moments + self.activations


def summarise(model: keras.Model) -> Network:
    """Describe a functional network, nested ones included, layer by layer.

    Args:
        model: with a fixed input size; it need not have been allocated.

    Raises:
        ValueError: the input size is not fixed.
    """
    calls = calls_of(model)
    layers: list[Layer] = []
    counted: set[int] = set()
    for call in calls:
        first_use = id(call.operation) not in counted
        counted.add(id(call.operation))
        layers.append(_row(call, layers, first_use=first_use))
    return Network(
        name=model.name,
        layers=tuple(layers),
        parameters=sum((one.parameters for one in layers), Parameters()),
        multiply_adds=sum(one.multiply_adds for one in layers),
        pool_operations=sum(one.pool_operations for one in layers),
        elements=sum(one.elements for one in layers if not one.shares_memory),
        peak_elements=_peak(calls, layers),
    )


def memory_of(network: Network, batch: int) -> Memory:
    """Return what a batch of pictures takes."""
    trained = network.parameters.trained * FLOAT_BYTES
    return Memory(
        batch=batch,
        parameters=network.parameters.total * FLOAT_BYTES,
        running=batch * network.peak_elements * FLOAT_BYTES,
        gradients=trained,
        moments=ADAM_MOMENTS * trained,
        activations=batch * network.elements * FLOAT_BYTES,
    )


def _row(call: Call, before: list[Layer], *, first_use: bool) -> Layer:
    operation, shape = call.operation, call.output_shape
    if None in shape[1:]:
        raise ValueError(f"{call.name} gives {shape}: a network of a fixed input size is needed")
    entering = call.input_shapes[0] if call.inputs else ()
    window = window_of(operation, entering)
    return Layer(
        name=call.name,
        kind=type(operation).__name__,
        inputs=tuple(before[at].name for at in call.inputs),
        window=window,
        output_shape=tuple(one or 0 for one in shape[1:]),
        elements=math.prod(one or 0 for one in shape[1:]),
        shares_memory=_shares_memory(operation),
        parameters=parameters_of(operation) if first_use else Parameters(),
        multiply_adds=multiply_adds_of(operation, shape),
        pool_operations=pool_operations_of(operation, entering, shape),
        field=_field(call, [before[at].field for at in call.inputs], window),
        activation=_activation(operation),
        groups=int(getattr(operation, "groups", 1) or 1),
    )


def _shares_memory(operation: Any) -> bool:
    layers = keras.layers
    is_same = isinstance(operation, layers.Activation) and _activation(operation) == ""
    return is_same or isinstance(operation, layers.Flatten | layers.Reshape | layers.Identity)


def _activation(operation: Any) -> str:
    name = getattr(getattr(operation, "activation", None), "__name__", "")
    return "" if name == "linear" else name


def _field(
    call: Call, entering: list[ReceptiveField | None], window: Window | None
) -> ReceptiveField | None:
    if not call.inputs:
        return ReceptiveField()
    fields = [one for one in entering if one is not None]
    if len(fields) < len(entering):
        return None
    output = _positions(call.output_shape)
    sizes = [_positions(shape) for shape in call.input_shapes]
    # A gate of one value a channel is spread over all positions of the map that it scales.
    matching = [one for one, size in zip(fields, sizes, strict=True) if size == output] or fields
    field = joined(matching)
    if field is None:
        return None
    whole = any(one.whole for one in fields)
    if window is not None and not window.whole:
        # Between windows that touch nothing but one position there is nothing to see.
        (top, _), (left, _) = window.padding
        height = field.height.through(window.kernel[0], window.stride[0], top, window.dilation[0])
        width = field.width.through(window.kernel[1], window.stride[1], left, window.dilation[1])
        return ReceptiveField(height=height, width=width, whole=whole)
    if window is None and (output in sizes or whole):
        return ReceptiveField(height=field.height, width=field.width, whole=whole)
    if output == 1:
        rows, columns = call.input_shapes[0][1:3] if len(call.input_shapes[0]) == 4 else (1, 1)
        height = field.height.through(rows or 1)
        width = field.width.through(columns or 1)
        return ReceptiveField(height=height, width=width, whole=True)
    return None


def _positions(shape: Shape) -> int:
    """Return height * width, which is 1 for a vector."""
    return math.prod(one or 0 for one in shape[1:-1])


def _peak(calls: tuple[Call, ...], layers: list[Layer]) -> int:
    owner = list(range(len(calls)))
    for at, (call, layer) in enumerate(zip(calls, layers, strict=True)):
        if layer.shares_memory and call.inputs:
            owner[at] = owner[call.inputs[0]]
    last_use = {}
    for at, call in enumerate(calls):
        last_use[owner[at]] = at
        for one in call.inputs:
            last_use[owner[one]] = at
    alive: dict[int, int] = {}
    peak = 0
    for at, layer in enumerate(layers):
        if owner[at] == at:
            alive[at] = layer.elements
        peak = max(peak, sum(alive.values()))
        alive = {one: size for one, size in alive.items() if last_use[one] > at}
    return peak
