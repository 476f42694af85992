"""Put the arrays of a weights file into a built backbone, or write them out.

Receives a model and a path. Everything is compared before anything is assigned, so a file that
does not fit leaves the model as it was.
"""

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tl.errors import WeightsError
from tl.written_aside import written_aside
from tl.zoo.weight_files import StoredArray, StoredLayers, open_layers

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
        fault: why the file's arrays cannot be assigned; None where they fit.
    """

    layer: str
    wanted: tuple[tuple[int, ...], ...]
    found: tuple[tuple[int, ...], ...] | None
    fault: str | None

    @property
    def fits(self) -> bool:
        """Whether the file's arrays can be assigned."""
        return self.fault is None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Matched:
    """A slot with what a file has for it: ``values`` where they fit, else the fault."""

    slot: _Slot
    match: LayerMatch
    values: Arrays | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMatch:
    """A network beside a file of weights.

    Attributes:
        layers: of the network.
        others: layers that only the file has.
        foreign: those of them that make the file another network's: convolutions that do not
            follow all those of the network.
    """

    layers: tuple[LayerMatch, ...]
    others: tuple[str, ...]
    foreign: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contents:
    """Names of a file's layers: all, those not read, and what is foreign of these."""

    names: tuple[str, ...]
    others: tuple[str, ...]
    foreign: tuple[str, ...]


def compare_layers(model: keras.Model, path: Path) -> FileMatch:
    """Return each layer of a backbone beside what a file has for it, and what else is in there.

    The answer is what `load_backbone_weights` goes by; nothing is assigned.

    Raises:
        WeightsError: unreadable.
    """
    matched, contents = _matched(model, path)
    return FileMatch(
        layers=tuple(one.match for one in matched),
        others=contents.others,
        foreign=contents.foreign,
    )


def load_backbone_weights(model: keras.Model, path: Path, *, partial: bool = False) -> None:
    """Assign the weights in a file to a backbone.

    Layers are matched by name. Layers that Keras numbered itself (``conv2d_12``) are matched by
    their order among those of their class, since the numbers depend on what else the process had
    built. A file that lacks one of these names is matched by class and order, else by position, if
    every shape agrees then, as Keras does for the files it publishes. What the file has beyond
    the last of them (a top, or the rest of a network that the model is the beginning of) is
    ignored; convolutions between them make the file that of a larger network, such as VGG-19's for
    VGG-16.

    Args:
        model: a backbone of ``build_backbone``.
        path: any file that ``open_layers`` understands.
        partial: assign the layers that fit, and warn of those that stay as they were.

    Raises:
        WeightsError: unreadable, or weights of another network; the model is unchanged.
    """
    matched, contents = _matched(model, path)
    faulty = [one for one in matched if one.values is None]
    if faulty and not partial:
        raise _misfit(faulty, len(matched), contents.names, path)
    if contents.foreign and not partial:
        raise WeightsError(
            f"{path} holds a larger network: {len(contents.foreign)} of its convolutions lie "
            f"between those that {model.name} has, the first '{contents.foreign[0]}'. Pass the "
            "weights of this backbone, or choose the backbone that they belong to; --set "
            "model.partial_weights=true begins with the layers that fit."
        )
    if len(faulty) == len(matched):
        raise WeightsError(
            f"{path} has nothing for this network: none of its {len(matched)} layers with weights "
            "fits. Pass the weights of this backbone."
        )
    for one in matched:
        for variable, value in zip(one.slot.variables, one.values or (), strict=False):
            variable.assign(value)
    if faulty:
        _log.warning(
            "%d of the %d layers do not come from %s and stay random:\n%s",
            len(faulty), len(matched), path,
            "\n".join(f"  {one.slot.layer}: {one.match.fault}" for one in faulty),
        )  # fmt: skip


def _matched(model: keras.Model, path: Path) -> tuple[list[_Matched], _Contents]:
    """Return every slot with what the file has for it, and what the file has."""
    slots = list(_slots(model))
    with open_layers(path) as layers:
        layers = {name: one for name, one in layers.items() if not _is_input_statistic(name)}
        names = _chosen_names(slots, layers)
        matched = [_compared(s, layers.get(n)) for s, n in zip(slots, names, strict=True)]
    taken = set(names)
    contents = _Contents(
        names=tuple(layers),
        others=tuple(name for name in layers if name not in taken),
        foreign=tuple(_foreign(layers, taken)),
    )
    return matched, contents


def _foreign(layers: StoredLayers, taken: set[str]) -> Iterator[str]:
    """Give the convolutions of a file that stand before the last one that is taken.

    Every kind of file keeps the order of the model among layers of one class, and no other: full
    and depthwise convolutions are looked at apart, by their shapes.
    """
    for is_of_class in (_is_convolution, _is_depthwise):
        names = [name for name, arrays in layers.items() if is_of_class(arrays)]
        last = max((place for place, name in enumerate(names) if name in taken), default=-1)
        yield from (name for name in names[: last + 1] if name not in taken)


def _is_convolution(arrays: tuple[StoredArray, ...]) -> bool:
    return bool(arrays) and len(arrays[0].shape) == 4 and arrays[0].shape[-1] != 1


def _is_depthwise(arrays: tuple[StoredArray, ...]) -> bool:
    return bool(arrays) and len(arrays[0].shape) == 4 and arrays[0].shape[-1] == 1


def _compared(slot: _Slot, stored: tuple[StoredArray, ...] | None) -> _Matched:
    values: Arrays | None = None
    fault = "missing" if stored is None else _declared_fault(slot, stored)
    if stored is not None and fault is None:
        # Only now, as the shapes are those of the model, their size is known to be reasonable.
        with np.errstate(over="ignore"):
            values = tuple(one.read().astype("float32") for one in stored)
        if not all(np.isfinite(one).all() for one in values):
            values, fault = None, "values that are not finite numbers"
    match = LayerMatch(
        layer=slot.layer,
        wanted=_shapes(slot.variables),
        found=None if stored is None else _shapes(stored),
        fault=fault,
    )
    return _Matched(slot=slot, match=match, values=values)


def _declared_fault(slot: _Slot, stored: tuple[StoredArray, ...]) -> str | None:
    """Say what is wrong by shape and type, which are compared before a value is read."""
    if _shapes(stored) != _shapes(slot.variables):
        return f"{_words(_shapes(stored))} in place of {_words(_shapes(slot.variables))}"
    for one in stored:
        if one.dtype.kind != "f":
            return f"{one.dtype} in place of floating-point numbers"
    return None


def _misfit(faulty: list[_Matched], count: int, names: tuple[str, ...], path: Path) -> WeightsError:
    """Return the error of a file that does not fit: what it has wrong, else what it lacks."""
    one = next((one for one in faulty if one.match.found is not None), None)
    if one is None:
        return WeightsError(
            f"{path} holds another network: {len(faulty)} of the {count} layers with weights are "
            f"not in it, the first '{faulty[0].slot.layer}'. It has {len(names)} layers, beginning "
            f"with {', '.join(repr(name) for name in names[:3])}. Pass the weights of this "
            "backbone; `tl weights verify FILE --backbone NAME` lists it layer by layer, and --set "
            "model.partial_weights=true begins with the layers that fit."
        )
    layer, match = one.slot.layer, one.match
    wanted = ", ".join(f"{v.name} {tuple(v.shape)}" for v in one.slot.variables)
    if match.found != match.wanted:
        return WeightsError(
            f"{path} does not fit: layer '{layer}' needs {wanted}, the file has "
            f"{', '.join(map(str, match.found or ()))}. These look like weights of another width "
            "or another network; choose the backbone they belong to."
        )
    return WeightsError(
        f"{path}: layer '{layer}' ({wanted}) has {match.fault}. Use a file of floating-point "
        "weights, from a run that did not diverge."
    )


def _shapes(arrays: Iterable[Any]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(one.shape) for one in arrays)


def _words(shapes: tuple[tuple[int, ...], ...]) -> str:
    return ", ".join("x".join(map(str, shape)) or "1" for shape in shapes)


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


def _chosen_names(slots: list[_Slot], layers: StoredLayers) -> list[str]:
    """Choose the layer of the file that each slot reads: by name, by class, or by position."""
    by_name = _file_names(slots, layers)
    if all(name in layers for name in by_name):
        return by_name
    for candidate in (_by_class(slots, layers), list(layers)[: len(slots)]):
        if len(candidate) == len(slots) and all(
            _declared_fault(slot, layers[name]) is None
            for slot, name in zip(slots, candidate, strict=True)
        ):
            return candidate
    return by_name


def _file_names(slots: list[_Slot], layers: StoredLayers) -> list[str]:
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


def _in_number_order(counter: str, layers: StoredLayers) -> list[str]:
    numbered = re.compile(re.escape(counter) + r"(?:_(\d+))?")
    found = [(int(m[1] or 0), name) for name in layers if (m := numbered.fullmatch(name))]
    return [name for _, name in sorted(found)]


def _by_class(slots: list[_Slot], layers: StoredLayers) -> list[str]:
    """Match by class and order: Keras 3 files before it recorded names in them."""
    queues = {slot.counter: iter(_in_number_order(slot.counter, layers)) for slot in slots}
    names = [next(queues[slot.counter], None) for slot in slots]
    return [name for name in names if name is not None]


def _is_input_statistic(name: str) -> bool:
    return re.fullmatch(r"normalization(_\d+)?", name) is not None


def _snake_case(class_name: str) -> str:
    """Name a class as Keras does where it numbers layers: ``Conv2D`` -> ``conv2d``."""
    spaced = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", class_name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", spaced).lower()
