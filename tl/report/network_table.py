"""The rows of a network as text: the same columns in the terminal, in Markdown and on the page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tl.zoo.summary.described import Described
from tl.zoo.summary.network import Layer
from tl.zoo.summary.receptive_field import Span

MB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column.

    Attributes:
        title: at its head.
        text: of a row; empty where the row has nothing to say.
        is_number: written to the right.
    """

    title: str
    text: Callable[[Layer], str]
    is_number: bool = True


def columns_of(described: Described) -> tuple[Column, ...]:
    """Return the columns; that of BatchNorm's statistics only where there are any."""
    has_statistics = described.network.parameters.statistics > 0
    return tuple(column for column in _COLUMNS if has_statistics or column.title != "statistics")


def totals_of(described: Described) -> dict[str, str]:
    """Return what stands below the table, by its name."""
    network, memory = described.network, described.memory
    parameters = network.parameters
    form = "network of the paper" if described.form == "classifier" else "backbone as tl uses it"
    size = "x".join(map(str, described.input_shape))
    return {
        "network": f"{described.name}, {form}, pictures of {size}",
        "parameters": (
            f"{parameters.total:,} = {parameters.weights:,} weights + {parameters.biases:,} biases"
            + (f" + {parameters.statistics:,} statistics" if parameters.statistics else "")
        ),
        "multiply-adds": f"{network.multiply_adds:,} a picture, in convolutions and dense layers; "
        f"{network.pool_operations:,} values in windows of pooling",
        "activations": f"{network.elements:,} a picture, {shown_mb(4 * network.elements)}",
        "to run": f"{shown_mb(memory.forward)} for {memory.batch} at a time: "
        f"{shown_mb(memory.parameters)} of parameters, {shown_mb(memory.running)} of activations "
        "at their most",
        "to train": f"{shown_mb(memory.training)} for {memory.batch} at a time: "
        f"{shown_mb(memory.parameters)} of parameters, {shown_mb(memory.gradients)} of gradients, "
        f"{shown_mb(memory.moments)} of Adam's moments, {shown_mb(memory.activations)} of "
        "activations",
    }


NOTE = (
    "Memory is float32, 4 bytes; 1 KB = 1024 bytes, 1 MB = 1024 KB. Sees: pixels that one position "
    "depends on, along an axis; step: pixels from one position to the next; from: the first pixel "
    "of the first position, below 0 in the padding; all: the whole picture."
)


def markdown(described: Described) -> str:
    """Return everything as Markdown."""
    columns = columns_of(described)
    lines = [f"# {described.name}", ""]
    lines += [f"- {name}: {text}" for name, text in totals_of(described).items()]
    lines += ["", NOTE, ""]
    lines.append(_cells([column.title for column in columns]))
    lines.append(_cells(["---:" if column.is_number else "---" for column in columns]))
    for layer in described.network.layers:
        lines.append(_cells([column.text(layer) for column in columns]))
    return "\n".join(lines) + "\n"


def shown_mb(count_bytes: float) -> str:
    """Return a memory with three digits or more."""
    mb = count_bytes / MB
    return f"{mb:,.0f} MB" if mb >= 100 else f"{mb:.3g} MB"


def shown_shape(shape: Sequence[int]) -> str:
    """Return the shape of an output, (height, width, channels)."""
    return "x".join(map(str, shape))


def _cells(texts: Sequence[str]) -> str:
    return f"| {' | '.join(text.replace('|', '/') for text in texts)} |"


def _kind(layer: Layer) -> str:
    groups = f", {layer.groups} groups" if layer.groups > 1 else ""
    inside = f" + {layer.activation}" if layer.activation and layer.kind != "Activation" else ""
    only = f" {layer.activation}" if layer.activation and layer.kind == "Activation" else ""
    return f"{layer.kind}{only}{inside}{groups}"


def _kernel(layer: Layer) -> str:
    window = layer.window
    if window is None or layer.kind in ("ZeroPadding2D", "Cropping2D"):
        return ""
    dilated = f" by {window.dilation[0]}" if max(window.dilation) > 1 else ""
    return f"{window.kernel[0]}x{window.kernel[1]}{dilated}"


def _stride(layer: Layer) -> str:
    if layer.window is None or not _kernel(layer) or layer.window.whole:
        return ""
    return _both(*map(str, layer.window.stride))


def _padding(layer: Layer) -> str:
    if layer.window is None or layer.window.whole:
        return ""
    (top, bottom), (left, right) = layer.window.padding
    return _both(
        str(top) if top == bottom else f"{top}/{bottom}",
        str(left) if left == right else f"{left}/{right}",
    )


def _both(height: str, width: str) -> str:
    return height if height == width else f"{height}x{width}"


def _count(count: int) -> str:
    return f"{count:,}" if count else ""


def _trained(layer: Layer) -> str:
    return _count(layer.parameters.trained)


def _kb(layer: Layer) -> str:
    return "shared" if layer.shares_memory else f"{layer.kilobytes:,.4g}" if (
        layer.kilobytes < 1000
    ) else f"{layer.kilobytes:,.0f}"  # fmt: skip


def _sees(layer: Layer) -> str:
    if layer.field is None:
        return "?"
    if layer.field.whole:
        return "all"
    return _span(layer, lambda span: span.size)


def _step(layer: Layer) -> str:
    return "" if layer.field is None or layer.field.whole else _span(layer, lambda one: one.stride)


def _from(layer: Layer) -> str:
    return "" if layer.field is None or layer.field.whole else _span(layer, lambda one: one.offset)


def _span(layer: Layer, part: Callable[[Span], int]) -> str:
    assert layer.field is not None
    return _both(str(part(layer.field.height)), str(part(layer.field.width)))


_COLUMNS = (
    Column(title="layer", text=lambda layer: layer.name, is_number=False),
    Column(title="type", text=_kind, is_number=False),
    Column(title="kernel", text=_kernel),
    Column(title="stride", text=_stride),
    Column(title="pad", text=_padding),
    Column(title="output", text=lambda layer: shown_shape(layer.output_shape)),
    Column(title="elements", text=lambda layer: f"{layer.elements:,}"),
    Column(title="KB", text=_kb),
    Column(title="weights", text=lambda layer: _count(layer.parameters.weights)),
    Column(title="with biases", text=_trained),
    Column(title="statistics", text=lambda layer: _count(layer.parameters.statistics)),
    Column(title="multiply-adds", text=lambda layer: _count(layer.multiply_adds)),
    Column(title="sees", text=_sees),
    Column(title="step", text=_step),
    Column(title="from", text=_from),
)
