"""A network on one page: one file, no script, nothing fetched, light and dark."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tl.report.network_diagram import KINDS, diagram
from tl.report.network_graph import graph_of
from tl.report.network_table import NOTE, columns_of, totals_of
from tl.report.shown import shown_percent
from tl.report.templates import templates
from tl.zoo.summary.described import Described
from tl.zoo.summary.network import Layer


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What the layers of one resolution have of the whole.

    Attributes:
        shown: height x width, or ``vectors``.
        n_layers: with weights to multiply by.
        multiply_adds: share of all, as text; so are the others.
        parameters: likewise.
        activations: likewise.
    """

    shown: str
    n_layers: int
    multiply_adds: str
    parameters: str
    activations: str


def network_page(described: Described) -> str:
    """Return the page."""
    columns = columns_of(described)
    layers = described.network.layers
    rows = [[column.text(layer) for column in columns] for layer in layers]
    return str(
        templates(html=True)
        .get_template("network.html.jinja")
        .render(
            name=described.name,
            totals=totals_of(described),
            # Drawn by us, of numbers and escaped names.
            diagram=Markup(diagram(graph_of(layers), described.name)),
            kinds=KINDS,
            resolutions=resolutions(layers),
            columns=columns,
            rows=rows,
            note=NOTE,
        )
    )


def resolutions(layers: Sequence[Layer]) -> list[Resolution]:
    """Return where a network has its work, its weights and its memory, finest maps first."""
    groups: dict[str, list[Layer]] = {}
    shown = "vectors"
    for layer in layers:
        shape = layer.output_shape
        # A border of zeros belongs to the maps that it is put around.
        if layer.kind not in ("ZeroPadding2D", "Cropping2D"):
            is_map = len(shape) == 3 and max(shape[:2]) > 1
            shown = "x".join(map(str, shape[:2])) if is_map else "vectors"
        groups.setdefault(shown, []).append(layer)
    return [
        Resolution(
            shown=shown,
            n_layers=sum(one.multiply_adds > 0 for one in group),
            multiply_adds=_share([one.multiply_adds for one in group], layers, "multiply_adds"),
            parameters=_share([one.parameters.total for one in group], layers, "parameters"),
            activations=_share([_own_elements(one) for one in group], layers, "activations"),
        )
        # Gates of one value a channel come between the maps; they stand at the end.
        for shown, group in sorted(groups.items(), key=lambda item: item[0] == "vectors")
    ]


def _share(values: Sequence[int], layers: Sequence[Layer], of: str) -> str:
    whole = {
        "multiply_adds": sum(one.multiply_adds for one in layers),
        "parameters": sum(one.parameters.total for one in layers),
        "activations": sum(_own_elements(one) for one in layers),
    }[of]
    return shown_percent(sum(values) / whole) if whole else "–"


def _own_elements(layer: Layer) -> int:
    return 0 if layer.shares_memory else layer.elements
