"""A network as a drawing: SVG that takes its colours from the page, and needs no script."""

from html import escape

from tl.report.network_graph import OVER_POSITIONS, Box, Graph, shown_rest, shown_title
from tl.report.network_table import shown_shape
from tl.zoo.summary.network import Layer

_MARGIN = 84
"""Pixels left of the boxes, for the resolutions."""
KINDS = {
    "conv": "convolution",
    "part": "convolution of some channels each (groups, depthwise)",
    "pool": "pooling, or statistics over all positions",
    "dense": "fully connected",
    "join": "branches join",
}
"""Class of a box -> what it stands for."""


def diagram(graph: Graph, name: str) -> str:
    """Draw a network from the picture at the top to its scores at the bottom.

    Boxes are as wide as the logarithm of their channels and as high as that of their resolution;
    each says more of itself where the pointer rests.
    """
    width, height = graph.width + _MARGIN + 8, graph.height + 8
    parts = [
        f'<svg class="network" role="img" aria-label="diagram of {escape(name)}" '
        f'width="{width:.0f}" height="{height:.0f}" viewBox="0 -4 {width:.0f} {height:.0f}" '
        'xmlns="http://www.w3.org/2000/svg">'
    ]
    for text, y in graph.resolutions:
        parts.append(
            f'<path class="rule" d="M0 {y - 9:.0f}H{width:.0f}"/>'
            f'<text class="side" x="0" y="{y + 12:.0f}">{text}</text>'
        )
    parts += [_line(graph.boxes[parent], box) for box in graph.boxes for parent in box.parents]
    parts += [_box(box) for box in graph.boxes if box.layers]
    parts.append("</svg>")
    return "\n".join(part for part in parts if part)


def kind_of(layer: Layer) -> str:
    """Return the class of a layer's box; empty for the picture and what has no other."""
    if layer.multiply_adds and layer.window is not None:
        is_part = layer.groups > 1 or "Depthwise" in layer.kind or "Separable" in layer.kind
        return "part" if is_part else "conv"
    if layer.multiply_adds:
        return "dense"
    if layer.pool_operations or layer.kind in OVER_POSITIONS:
        return "pool"
    return "join" if len(layer.inputs) > 1 else ""


def _line(parent: Box, box: Box) -> str:
    x1, y1 = parent.x + _MARGIN, parent.y + parent.height
    x2, y2 = box.x + _MARGIN, box.y
    passing = f"V{box.y + box.height:.0f}" if not box.layers else ""
    middle = (y1 + y2) / 2
    return (
        f'<path class="line" d="M{x1:.0f} {y1:.0f}C{x1:.0f} {middle:.0f} {x2:.0f} {middle:.0f} '
        f'{x2:.0f} {y2:.0f}{passing}"/>'
    )


def _box(box: Box) -> str:
    layer = box.layers[0]
    x, middle = box.x + _MARGIN, box.y + box.height / 2
    rest = shown_rest(box)
    lines = [(shown_title(box), middle + (4 if not rest else -2))]
    if rest:
        lines.append((rest, middle + 11))
    texts = "".join(
        f'<text class="{"small" if number else "first"}" x="{x:.0f}" y="{y:.0f}">'
        f"{escape(text)}</text>"
        for number, (text, y) in enumerate(lines)
    )
    return (
        f'<g class="box {kind_of(layer)}"><title>{escape(_said(box))}</title>'
        f'<rect x="{x - box.width / 2:.0f}" y="{box.y:.0f}" width="{box.width:.0f}" '
        f'height="{box.height:.0f}" rx="3"/>{texts}</g>'
    )


def _said(box: Box) -> str:
    layer = box.layers[0]
    said = [
        f"{layer.name}: {layer.kind}",
        f"output {shown_shape(layer.output_shape)}",
        f"{sum(one.parameters.total for one in box.layers):,} parameters",
        f"{layer.multiply_adds:,} multiply-adds",
    ]
    if layer.field is not None:
        sees = "the whole picture" if layer.field.whole else (
            f"{layer.field.height.size}x{layer.field.width.size} pixels"
        )  # fmt: skip
        said.append(f"sees {sees}")
    if len(box.layers) > 1:
        said.append("then " + ", ".join(one.kind for one in box.layers[1:]))
    return "; ".join(said)
