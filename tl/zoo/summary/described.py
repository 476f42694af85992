"""A backbone's network as it is shown, and as JSON. Receives names and sizes, gives values."""

from dataclasses import dataclass
from typing import Any

from tl.zoo.backbones import Backbone
from tl.zoo.summary.inputs import has_classifier
from tl.zoo.summary.network import Layer, Memory, Network, memory_of, summarise
from tl.zoo.summary.networks import unallocated_network
from tl.zoo.summary.receptive_field import ReceptiveField, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What `tl summary` shows.

    Attributes:
        name: of the backbone.
        form: ``classifier`` for the network of the paper with its classes, ``features`` for what
            `tl` puts a head on.
        input_shape: (height, width, channels) of the picture.
        network: layer by layer, for one picture.
        memory: for a batch.
    """

    name: str
    form: str
    input_shape: tuple[int, int, int]
    network: Network
    memory: Memory

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values for JSON; memory in bytes, everything else for one picture."""
        network, memory = self.network, self.memory
        return {
            "name": self.name,
            "form": self.form,
            "input": list(self.input_shape),
            "parameters": network.parameters.total,
            "weights": network.parameters.weights,
            "biases": network.parameters.biases,
            "statistics": network.parameters.statistics,
            "multiply_adds": network.multiply_adds,
            "pool_operations": network.pool_operations,
            "activations": network.elements,
            "memory": {
                "batch": memory.batch,
                "parameters_bytes": memory.parameters,
                "running_bytes": memory.running,
                "gradients_bytes": memory.gradients,
                "moments_bytes": memory.moments,
                "activations_bytes": memory.activations,
                "forward_bytes": memory.forward,
                "training_bytes": memory.training,
            },
            "layers": [_layer(one) for one in network.layers],
        }


def describe(
    backbone: Backbone,
    image_size: tuple[int, int] | None = None,
    *,
    channels: int = 3,
    features: bool = False,
    batch: int = 1,
) -> Described:
    """Describe a backbone without memory for its weights.

    Args:
        backbone: row of the table.
        image_size: (height, width) in pixels, the backbone's own when None.
        channels: of the picture.
        features: see ``unallocated_network``.
        batch: pictures, for the memory.

    Raises:
        ConfigError: a size or a number of channels that the network cannot take.
    """
    height, width = image_size or backbone.image_size
    model = unallocated_network(backbone, (height, width), channels=channels, features=features)
    network = summarise(model)
    return Described(
        name=backbone.name,
        form="features" if features or not has_classifier(backbone) else "classifier",
        input_shape=(height, width, channels),
        network=network,
        memory=memory_of(network, batch),
    )


def _layer(layer: Layer) -> dict[str, Any]:
    window = layer.window
    return {
        "name": layer.name,
        "type": layer.kind,
        "inputs": list(layer.inputs),
        "activation": layer.activation or None,
        "groups": layer.groups,
        "kernel": list(window.kernel) if window else None,
        "stride": list(window.stride) if window else None,
        "dilation": list(window.dilation) if window else None,
        "padding": [list(side) for side in window.padding] if window else None,
        "output_shape": list(layer.output_shape),
        "activations": layer.elements,
        "activations_kb": layer.kilobytes,
        "shares_memory": layer.shares_memory,
        "weights": layer.parameters.weights,
        "biases": layer.parameters.biases,
        "statistics": layer.parameters.statistics,
        "multiply_adds": layer.multiply_adds,
        "pool_operations": layer.pool_operations,
        "receptive_field": _field(layer.field) if layer.field else None,
    }


def _field(field: ReceptiveField) -> dict[str, Any]:
    return {
        "height": _span(field.height),
        "width": _span(field.width),
        "whole_picture": field.whole,
    }


def _span(span: Span) -> dict[str, float]:
    return {
        "size": span.size,
        "stride": span.stride,
        "offset": span.offset,
        "centre": span.centre,
    }
