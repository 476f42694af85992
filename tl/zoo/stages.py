"""Group the layers of a backbone by how far they have shrunk the picture.

Receives a built backbone, gives its stages from pixels to features. Fine-tuning unfreezes the
last of them, and linear classifiers on several stages read their outputs.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import keras


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The layers that work at one resolution.

    Attributes:
        stride: pixels of the input for one position of the output, along each axis; a power of
            two for every backbone of the table.
        layer_names: the layers in the order they run.
        output: name of the operation whose output (batch, height, width, channels) stands for
            the stage; ``stage_outputs`` finds its tensor.
    """

    stride: int
    layer_names: tuple[str, ...]
    output: str


def stages(model: keras.Model) -> tuple[Stage, ...]:
    """Return the stages of a backbone, the one nearest to the pixels first.

    A stage begins with the layer that halves the resolution; the scaling of pixels belongs to
    the first stage, pooling and features to the last, so that each has weights to train. Every
    layer but the input belongs to exactly one stage.

    Strides are read from the layers, not from the sizes of their outputs: unpadded convolutions
    and odd sizes blur those, and squeeze-and-excitation pools to 1x1 in the middle of a stage.

    Args:
        model: a backbone of ``build_backbone``.
    """
    operations = [op for op in model.operations if not isinstance(op, keras.layers.InputLayer)]
    strides = _output_strides(operations)
    groups: list[list[Any]] = []
    for stride in sorted(set(strides.values())):
        group = [operation for operation in operations if strides[operation.name] == stride]
        if groups and not (_has_weights(groups[-1]) and _has_weights(group)):
            groups[-1].extend(group)
        else:
            groups.append(group)
    bottlenecks = _bottlenecks(operations)
    return tuple(
        Stage(
            stride=max(strides[operation.name] for operation in group),
            layer_names=tuple(op.name for op in group if isinstance(op, keras.layers.Layer)),
            output=_stage_output(group, bottlenecks).name,
        )
        for group in groups
    )


def stage_outputs(model: keras.Model) -> tuple[Any, ...]:
    """Return the output of every stage as a Keras tensor (batch, height, width, channels)."""
    by_name = {operation.name: operation for operation in model.operations}
    return tuple(_output(by_name[stage.output]) for stage in stages(model))


def feature_maps(model: keras.Model) -> dict[str, Any]:
    """Return the last feature map at every stride under one naming for all backbones.

    Unlike stages, which are grouped for fine-tuning, every stride has its entry: VGG's fifth
    pooling is no stage of its own, yet a map at stride 32 beside that of stride 16.

    Args:
        model: a backbone of ``build_backbone``.

    Returns:
        ``stride_4``, ``stride_8``, ``stride_16``, ``stride_32``, and finer ones where the network
        has them, each a Keras tensor (batch, height, width, channels); finest first. A height or
        width is that of the picture divided by the stride, or a bit less where borders are cut.
    """
    operations = [op for op in model.operations if not isinstance(op, keras.layers.InputLayer)]
    strides = _output_strides(operations)
    bottlenecks = _bottlenecks(operations)
    found: dict[str, Any] = {}
    for stride in sorted(set(strides.values())):
        group = [operation for operation in operations if strides[operation.name] == stride]
        # Before the first weights there are pixels, no features.
        if found or _has_weights(group):
            found[f"stride_{stride}"] = _output(_stage_output(group, bottlenecks))
    return found


def _output_strides(operations: Iterable[Any]) -> dict[str, int]:
    strides: dict[str, int] = {}
    for operation in operations:
        entering = max((strides.get(name, 1) for name in _parents(operation)), default=1)
        strides[operation.name] = entering * _own_stride(operation)
    return strides


def _own_stride(operation: Any) -> int:
    if isinstance(operation, keras.Model):
        return math.prod(_own_stride(layer) for layer in operation.layers)
    own = getattr(operation, "strides", 1)
    return int(own if isinstance(own, int) else own[0])


def _bottlenecks(operations: list[Any]) -> set[str]:
    """Name the operations through which everything passes: no connection leads around them."""
    last_use: dict[str, int] = {}
    for position, operation in enumerate(operations):
        for parent in _parents(operation):
            last_use[parent] = position
    found = set()
    furthest = 0
    for position, operation in enumerate(operations):
        if furthest <= position:
            found.add(operation.name)
        furthest = max(furthest, last_use.get(operation.name, position))
    return found


def _stage_output(group: list[Any], bottlenecks: set[str]) -> Any:
    """Choose the last feature map of a stage that carries all of its information.

    In the branches of an Inception block or beside a residual connection the last layer to run
    has only a part of it. NASNet, where each cell reads two earlier ones, has no bottleneck.
    """
    # A padded map belongs to the next stage's convolution; its zeros would spoil averages.
    resizing = keras.layers.ZeroPadding2D | keras.layers.Cropping2D
    maps = [op for op in group if len(_output(op).shape) == 4 and not isinstance(op, resizing)]
    whole = [operation for operation in maps if operation.name in bottlenecks]
    return (whole or maps)[-1]


def _has_weights(group: list[Any]) -> bool:
    # EfficientNet's Normalization holds constants of the input, nothing that is trained.
    return any(
        getattr(operation, "weights", []) and not isinstance(operation, keras.layers.Normalization)
        for operation in group
    )


# `layer.input` and `layer.output` of a nested model (ConvNeXt's stem) are those of its inner
# graph, cut off from the one around it; only the node of the call knows both sides. A backbone
# calls each of its operations once.
def _parents(operation: Any) -> list[str]:
    return [node.operation.name for node in operation._inbound_nodes[0].parent_nodes]


def _output(operation: Any) -> Any:
    return operation._inbound_nodes[0].outputs[0]
