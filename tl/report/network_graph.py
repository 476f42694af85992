"""What is drawn of a network: a box for each layer that computes, in levels from picture to scores.

Receives the layers, gives boxes with their places and the lines between them; `network_diagram`
draws them. Layers that work value by value (normalisation, activation, padding, dropout) are
named within the box that they follow, unless something else reads what comes before them, as the
shortcut of a pre-activation network does: then they have a box of their own.

Source of the layout: Sugiyama, Tagawa and Toda 1981, "Methods for visual understanding of
hierarchical system structures": levels by the longest way, places in a level by the mean of the
parents', and long lines led through levels by places of their own.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tl.zoo.summary.network import Layer

_GAP = 16
_LEVEL_GAP = 18
_LANE = 12
"""Pixels that a line takes that passes a level."""
_JOINS = {"Add": "+", "Concatenate": "concatenate", "CustomScaleLayer": "+", "Multiply": "×"}
OVER_POSITIONS = {"Mean": "mean", "Var": "variance"}
"""Operation that leaves one value a channel -> what it is called."""
_WORDS = {
    "BatchNormalization": "norm",
    "LayerNormalization": "norm",
    "LocalResponseNormalization": "LRN",
    "Normalization": "scaling",
    "Rescaling": "scaling",
    "LayerScale": "scaling",
    "ReLU": "relu",
    "LeakyReLU": "leaky_relu",
    "PReLU": "prelu",
    "ELU": "elu",
    "Softmax": "softmax",
    "Maxout": "maxout",
    "ZeroPadding2D": "pad",
    "Cropping2D": "crop",
    "Dropout": "dropout",
    "SpatialDropout2D": "dropout",
    "Sqrt": "square root",
}
"""Class of a layer that works value by value -> what it is called in a box."""
_HARD_SIGMOID = ("Add", "ReLU", "Multiply")
"""How Keras writes MobileNetV3's gate: (x + 3) cut to 0 and 6, times 1/6, all with numbers."""


@dataclass(slots=True, kw_only=True)
class Box:
    """One box, or with no layers the place where a line passes a level.

    Attributes:
        layers: the first is what the box is; the others follow it value by value.
        parents: indices of boxes.
        level: 0 for the picture.
        x: of its middle, in pixels of the drawing.
        y: of its top.
        width: by the logarithm of its channels.
        height: by the logarithm of its resolution.
    """

    layers: list[Layer]
    parents: list[int]
    level: int = 0
    x: float = 0.0
    y: float = 0.0
    width: float = float(_LANE)
    height: float = 0.0
    order: float = field(default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Boxes with their places.

    Attributes:
        boxes: those without layers are the bends of lines.
        width: of the drawing in pixels.
        height: likewise.
        resolutions: (text, y) where the maps become smaller.
    """

    boxes: tuple[Box, ...]
    width: float
    height: float
    resolutions: tuple[tuple[str, float], ...]


def graph_of(layers: Sequence[Layer]) -> Graph:
    """Return what is drawn."""
    boxes = _boxes(layers)
    for box in boxes:
        box.level = 1 + max((boxes[one].level for one in box.parents), default=-1)
        box.width, box.height = _extent(box.layers[0])
    boxes = _with_bends(boxes)
    levels: list[list[Box]] = [[] for _ in range(1 + max(box.level for box in boxes))]
    for box in boxes:
        levels[box.level].append(box)
    width = max(_width(level) for level in levels)
    y = 0.0
    resolutions: list[tuple[str, float]] = []
    for level in levels:
        for box in level:
            box.order = _mean([boxes[one].x for one in box.parents], width / 2)
        level.sort(key=lambda box: box.order)
        x = (width - _width(level)) / 2
        for box in level:
            box.x, box.y = x + box.width / 2, y
            x += box.width + _GAP
        shown = _resolution(level)
        if shown and (not resolutions or resolutions[-1][0] != shown):
            resolutions.append((shown, y))
        tallest = max(box.height for box in level)
        for box in level:
            if not box.layers:
                box.height = tallest
        y += tallest + _LEVEL_GAP
    return Graph(
        boxes=tuple(boxes), width=width, height=y - _LEVEL_GAP, resolutions=tuple(resolutions)
    )


def shown_title(box: Box) -> str:
    """Return the first line in a box: what it does, in as few letters as there is room for."""
    layer = box.layers[0]
    if layer.kind == "InputLayer":
        return "picture"
    if layer.kind == "Var" and any(one.kind == "Sqrt" for one in box.layers):
        return "deviation"
    if layer.kind in OVER_POSITIONS:
        return OVER_POSITIONS[layer.kind]
    if not _has_box(layer):
        return _word(layer) or layer.kind
    window, channels = layer.window, layer.output_shape[-1]
    if window is not None and window.whole:
        return "global pooling"
    if window is not None:
        kernel = f"{window.kernel[0]}x{window.kernel[1]}"
        stride = f" /{max(window.stride)}" if max(window.stride) > 1 else ""
        kind = " pool" if layer.pool_operations else f", {channels}"
        return f"{kernel}{stride}{kind}"
    if layer.multiply_adds:
        return f"dense, {channels}"
    return _JOINS.get(layer.kind, layer.kind)


def shown_rest(box: Box) -> str:
    """Return the second line: what follows value by value."""
    first, *rest = box.layers
    if first.kind == "Var":
        rest = []  # the title says what the square root makes of it
    words = [first.activation if _has_box(first) else ""]
    at = 0
    while at < len(rest):
        if tuple(one.kind for one in rest[at : at + 3]) == _HARD_SIGMOID:
            words.append("hard_sigmoid")
            at += 3
        else:
            words.append(_word(rest[at]))
            at += 1
    return " ".join(dict.fromkeys(word for word in words if word))


def _word(layer: Layer) -> str:
    return layer.activation or _WORDS.get(layer.kind, "")


def _boxes(layers: Sequence[Layer]) -> list[Box]:
    # Layer -> the one whose values its output has.
    source: dict[str, str] = {}
    readers: Counter[str] = Counter()
    for layer in layers:
        is_same = bool(layer.inputs) and _gives_what_it_takes(layer)
        source[layer.name] = source[layer.inputs[0]] if is_same else layer.name
        if not is_same:
            readers.update({source[name] for name in layer.inputs})
    boxes: list[Box] = []
    at: dict[str, int] = {}
    for layer in layers:
        parents = [at[name] for name in layer.inputs]
        is_same = source[layer.name] != layer.name
        if is_same or (
            parents and not _has_box(layer) and readers[source[layer.inputs[0]]] == 1
        ):  # fmt: skip
            boxes[parents[0]].layers.append(layer)
            at[layer.name] = parents[0]
            continue
        at[layer.name] = len(boxes)
        boxes.append(Box(layers=[layer], parents=list(dict.fromkeys(parents))))
    return boxes


def _gives_what_it_takes(layer: Layer) -> bool:
    """Say whether the output is the input in another shape or type."""
    return layer.shares_memory or layer.kind == "Cast"


def _has_box(layer: Layer) -> bool:
    return bool(
        layer.multiply_adds
        or layer.pool_operations
        or len(layer.inputs) != 1
        or layer.kind in OVER_POSITIONS
    )


def _extent(layer: Layer) -> tuple[float, float]:
    shape = layer.output_shape
    side = max(shape[:-1], default=1)
    return 44 + 15 * math.log2(max(shape[-1], 1)), 28 + 3 * math.log2(max(side, 1))


def _with_bends(boxes: list[Box]) -> list[Box]:
    """Lead every line that passes levels through a place in each of them."""
    count = len(boxes)
    bends: dict[tuple[int, int], int] = {}
    for at in range(count):
        box = boxes[at]
        for number, parent in enumerate(box.parents):
            last = parent
            # Lines from one box share their bends.
            for level in range(boxes[parent].level + 1, box.level):
                if (parent, level) not in bends:
                    bends[parent, level] = len(boxes)
                    boxes.append(Box(layers=[], parents=[last], level=level))
                last = bends[parent, level]
            box.parents[number] = last
    return boxes


def _width(level: Sequence[Box]) -> float:
    return sum(box.width for box in level) + _GAP * (len(level) - 1)


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _resolution(level: Sequence[Box]) -> str:
    """Return the largest map of a level; none where it has but lines, borders and vectors."""
    firsts = [box.layers[0] for box in level if box.layers]
    # A border of zeros belongs to the maps that it is put around.
    shapes = [one.output_shape for one in firsts
              if one.kind not in ("ZeroPadding2D", "Cropping2D")]  # fmt: skip
    maps = [shape[:2] for shape in shapes if len(shape) == 3 and max(shape[:2]) > 1]
    return "x".join(map(str, max(maps))) if maps else ""
