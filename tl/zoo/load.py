"""Put the arrays of a weights file into a built backbone, or write them out.

Receives a model and a path. Everything is compared before anything is assigned, so a file that
does not fit leaves the model as it was.
"""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tl.errors import WeightsError
from tl.written_aside import written_aside
from tl.zoo.weight_files import LayerArrays, read_layers

_log = logging.getLogger(__name__)
Arrays = tuple[NDArray[Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slot:
    """One layer of the model that wants arrays."""

    layer: str
    counter: str  # what Keras calls the class where it numbers layers: conv2d, conv2d_1, ...
    variables: tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerMatch:
    """One layer of a network beside a file of weights.

    Attributes:
        layer: its name.
        wanted: shapes of its variables.
        found: shapes in the file; None where it has no such layer.
    """

    layer: str
    wanted: tuple[tuple[int, ...], ...]
    found: tuple[tuple[int, ...], ...] | None

    @property
    def fits(self) -> bool:
        """Whether the file's arrays can be assigned."""
        return self.wanted == self.found


def compare_layers(model: keras.Model, path: Path) -> tuple[list[LayerMatch], list[str]]:
    """Return each layer of a backbone beside what a file has for it, and what else is in there.

    Layers are matched as `load_backbone_weights` does by name; nothing is assigned.

    Raises:
        WeightsError: unreadable.
    """
    slots, layers = list(_slots(model)), read_layers(path)
    layers = {name: value for name, value in layers.items() if not _is_input_statistic(name)}
    names = _file_names(slots, layers)
    matches = [
        LayerMatch(
            layer=slot.layer,
            wanted=tuple(tuple(variable.shape) for variable in slot.variables),
            found=tuple(array.shape for array in layers[name]) if name in layers else None,
        )
        for slot, name in zip(slots, names, strict=True)
    ]
    return matches, [name for name in layers if name not in set(names)]


def load_backbone_weights(model: keras.Model, path: Path, *, partial: bool = False) -> None:
    """Assign the weights in a file to a backbone.

    Layers are matched by name. Layers that Keras numbered itself (``conv2d_12``) are matched by
    their order among those of their class, since the numbers depend on what else the process had
    built. Files whose layers are named otherwise throughout are matched by position if every
    shape agrees, as Keras does for the files it publishes. Layers the model does not have (a
    top) are ignored.

    Args:
        model: a backbone of ``build_backbone``.
        path: any file that ``read_layers`` understands.
        partial: assign the layers that fit by name, and warn of those that stay as they were.

    Raises:
        WeightsError: unreadable, or weights of another network; the model is unchanged.
    """
    slots = list(_slots(model))
    if partial:
        slots, arrays = _fitting(slots, read_layers(path), path)
    else:
        arrays = _match(slots, read_layers(path), path)
    for slot, values in zip(slots, arrays, strict=True):
        for variable, value in zip(slot.variables, values, strict=True):
            variable.assign(value.astype("float32"))


def save_backbone_npz(model: keras.Model, path: Path) -> None:
    """Write the weights of a backbone as float16, in one step.

    Args:
        model: a backbone of ``build_backbone``.
        path: the ``.npz`` file; keys are ``layer_name/variable_name``.

    Raises:
        WeightsError: a weight does not fit into float16.
    """
    arrays: dict[str, Any] = {}
    for slot in _slots(model):
        for variable in slot.variables:
            with np.errstate(over="ignore"):
                half = np.asarray(keras.ops.convert_to_numpy(variable)).astype(np.float16)
            if not np.isfinite(half).all():
                raise WeightsError(
                    f"layer '{slot.layer}', variable '{variable.name}' has values beyond float16 "
                    "(65504) or not finite; it cannot be shipped. Train with weight decay or look "
                    "for a diverged run."
                )
            arrays[f"{slot.layer}/{variable.name}"] = half
    with written_aside(path) as aside, aside.open("wb") as file:
        np.savez_compressed(file, **arrays)


def _slots(model: keras.Model) -> Iterator[_Slot]:
    for layer in _leaves(model):
        # EfficientNet's input statistics are constants of the preprocessing (see build.py).
        if layer.weights and not isinstance(layer, keras.layers.Normalization):
            yield _Slot(
                layer=layer.name,
                counter=_snake_case(type(layer).__name__),
                variables=tuple(layer.trainable_variables + layer.non_trainable_variables),
            )


def _leaves(model: keras.Model) -> Iterator[Any]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):  # ConvNeXt's stem and downsampling are nested
            yield from _leaves(layer)
        else:
            yield layer


def _match(slots: list[_Slot], layers: LayerArrays, path: Path) -> list[Arrays]:
    """Choose the arrays of every slot, or raise WeightsError that says what does not fit."""
    layers = {name: value for name, value in layers.items() if not _is_input_statistic(name)}
    by_name = [layers.get(name) for name in _file_names(slots, layers)]
    if all(arrays is not None for arrays in by_name):
        found = [arrays for arrays in by_name if arrays is not None]
        _refuse_misfit(slots, found, path)
        return found
    for candidate in (_by_class(slots, layers), list(layers.values())[: len(slots)]):
        if len(candidate) == len(slots) and all(map(_fits, slots, candidate)):
            return candidate
    missing = [slot.layer for slot, arrays in zip(slots, by_name, strict=True) if arrays is None]
    present = [(s, a) for s, a in zip(slots, by_name, strict=True) if a is not None]
    _refuse_misfit([slot for slot, _ in present], [arrays for _, arrays in present], path)
    raise WeightsError(
        f"{path} holds another network: {len(missing)} of the {len(slots)} layers with weights are "
        f"not in it, the first '{missing[0]}'. It has {len(layers)} layers, beginning with "
        f"{', '.join(repr(name) for name in list(layers)[:3])}. Pass the weights of this backbone; "
        "`tl weights verify FILE --backbone NAME` lists it layer by layer, and --set "
        "model.partial_weights=true begins with the layers that fit."
    )


def _fitting(
    slots: list[_Slot], layers: LayerArrays, path: Path
) -> tuple[list[_Slot], list[Arrays]]:
    """Return the slots that the file has arrays of the right shapes for, with these."""
    pairs = [
        (slot, layers[name])
        for slot, name in zip(slots, _file_names(slots, layers), strict=True)
        if name in layers and _fits(slot, layers[name])
    ]
    if not pairs:
        raise WeightsError(
            f"{path} has nothing for this network: none of its {len(slots)} layers with weights "
            "fits. Pass the weights of this backbone."
        )
    kept, arrays = [slot for slot, _ in pairs], [found for _, found in pairs]
    _refuse_misfit(kept, arrays, path)
    known = {slot.layer for slot in kept}
    if others := [slot.layer for slot in slots if slot.layer not in known]:
        shown = ", ".join(others[:5]) + (", ..." if len(others) > 5 else "")
        _log.warning(
            "%d of the %d layers are not in %s, or have other shapes there, and stay random: %s",
            len(others), len(slots), path, shown,
        )  # fmt: skip
    return kept, arrays


def _file_names(slots: list[_Slot], layers: LayerArrays) -> list[str]:
    """Name the layer of the file that each slot reads; numbered layers by their order."""
    names = [slot.layer for slot in slots]
    for counter in {slot.counter for slot in slots}:
        numbered = re.compile(re.escape(counter) + r"(?:_(\d+))?")
        mine = [i for i, slot in enumerate(slots) if numbered.fullmatch(slot.layer)]
        theirs = _in_number_order(counter, layers)
        mine.sort(key=lambda i: int(names[i].removeprefix(counter).removeprefix("_") or 0))
        for index, name in zip(mine, theirs, strict=False):
            names[index] = name
        for index in mine[len(theirs) :]:
            names[index] = f"{counter} number {mine.index(index) + 1}"
    return names


def _in_number_order(counter: str, layers: LayerArrays) -> list[str]:
    numbered = re.compile(re.escape(counter) + r"(?:_(\d+))?")
    found = [(int(m[1] or 0), name) for name in layers if (m := numbered.fullmatch(name))]
    return [name for _, name in sorted(found)]


def _by_class(slots: list[_Slot], layers: LayerArrays) -> list[Arrays]:
    """Match by class and order: Keras 3 files before it recorded names in them."""
    queues = {slot.counter: iter(_in_number_order(slot.counter, layers)) for slot in slots}
    names = [next(queues[slot.counter], None) for slot in slots]
    return [layers[name] for name in names if name is not None]


def _fits(slot: _Slot, arrays: Arrays) -> bool:
    shapes = [tuple(variable.shape) for variable in slot.variables]
    return shapes == [array.shape for array in arrays]


def _refuse_misfit(slots: list[_Slot], found: list[Arrays], path: Path) -> None:
    for slot, arrays in zip(slots, found, strict=True):
        wanted = ", ".join(f"{v.name} {tuple(v.shape)}" for v in slot.variables)
        if not _fits(slot, arrays):
            raise WeightsError(
                f"{path} does not fit: layer '{slot.layer}' needs {wanted}, the file has "
                f"{', '.join(str(array.shape) for array in arrays)}. These look like weights of "
                "another width or another network; choose the backbone they belong to."
            )
        for array in arrays:
            if array.dtype.kind != "f" or not np.isfinite(array).all():
                raise WeightsError(
                    f"{path}: layer '{slot.layer}' ({wanted}) has {array.dtype} values that are "
                    "not finite numbers. Use a file from a run that did not diverge."
                )


def _is_input_statistic(name: str) -> bool:
    return re.fullmatch(r"normalization(_\d+)?", name) is not None


def _snake_case(class_name: str) -> str:
    """Name a class as Keras does where it numbers layers: ``Conv2D`` -> ``conv2d``."""
    spaced = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", class_name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", spaced).lower()
