"""From TOML, ``--set`` settings, flags and stored JSON to a config, or to what is wrong in them.

Receives text and plain values, gives a `RunConfig`. No TensorFlow here, so that a bad key is
refused at once, with the nearest that there is.
"""

import dataclasses
import json
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from tl.config import RunConfig, flatten
from tl.errors import ConfigError, nearest


def read_config(
    file: Path | None,
    settings: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
    *,
    base: RunConfig | None = None,
) -> RunConfig:
    """Combine a TOML file, ``--set`` settings and flags; later ones win.

    Args:
        file: TOML with the keys of `RunConfig`, or None.
        settings: ``training.learning_rate=1e-3``; the value is TOML, or else a plain string.
        flags: dotted keys to values; None values are not set.
        base: what holds where none of them says anything; None for the defaults.

    Raises:
        ConfigError: unknown key, wrong type or impossible value, with the key and the value.
    """
    tree: dict[str, Any] = base.to_dict() if base else {}
    for key, value in flatten(_read_toml(file)) if file else ():
        _put(tree, key, value)
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {setting!r}: write key=value, as in training.epochs=20")
        _put(tree, key.strip(), _parse_value(key.strip(), text.strip()))
    for key, value in (flags or {}).items():
        if value is not None:
            _put(tree, key, value)
    if "dataset" not in tree:
        raise ConfigError('no dataset; give --dataset, or dataset = "..." in the config file')
    return typing.cast(RunConfig, _build(RunConfig, tree, ""))


def setting_key(name: str) -> str:
    """Return the dotted key of a setting given by its last part: ``epochs`` -> ``training.epochs``.

    Raises:
        ConfigError: no such setting.
    """
    keys = {key.rpartition(".")[2]: key for key in _all_keys()}
    if name not in keys:
        raise ConfigError(f"unknown setting {name!r}; {_nearest_key(name, keys)}")
    return keys[name]


def _nearest_key(name: str, known: Iterable[str]) -> str:
    return nearest(name, known) or "docs/finetune.md and `tl finetune --help` name the usual ones."


def config_from_json(text: str) -> RunConfig:
    """Read what `RunConfig.to_dict` wrote.

    Raises:
        ConfigError: not JSON, or of another version of tl.
    """
    try:
        tree = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"the stored config is no JSON: {error}") from error
    if not isinstance(tree, dict) or "dataset" not in tree:
        raise ConfigError(f"the stored config names no dataset: {text[:80]}")
    return typing.cast(RunConfig, _build(RunConfig, tree, ""))


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))  # Notepad writes a mark
    except OSError as error:
        raise ConfigError(f"--config {file}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"--config {file} is no valid TOML: {error}") from error


def _parse_value(key: str, text: str) -> Any:
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except ValueError:
        return text  # --set model.backbone=resnet50 without the quotes TOML asks for
    # --set name=2024 means the text where nothing but text is possible.
    return text if key in _text_keys() and not isinstance(value, str) else value


def _text_keys(kind: type[Any] = RunConfig, prefix: str = "") -> set[str]:
    keys: set[str] = set()
    for name, hint in typing.get_type_hints(kind).items():
        if dataclasses.is_dataclass(hint):
            keys |= _text_keys(typing.cast(type[Any], hint), f"{prefix}{name}.")
        elif hint in (str, str | None):
            keys.add(prefix + name)
    return keys


def _put(tree: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key.split(".")
    for part in path:
        tree = tree.setdefault(part, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"{key}: {part!r} is a value, not a group of settings")
    tree[last] = value


def _build(kind: type[Any], tree: Any, prefix: str) -> Any:
    if not isinstance(tree, dict):
        raise ConfigError(f"{prefix.rstrip('.')} is a group of settings; got {tree!r}")
    hints = typing.get_type_hints(kind)
    for key in tree:
        if key not in hints:
            known = [f"{prefix}{name}" for name in hints] if prefix else _all_keys()
            hint = _nearest_key(prefix + key, known)
            raise ConfigError(f"unknown setting {prefix + key!r}; {hint}")
    values = {
        key: _build(hints[key], value, f"{prefix}{key}.")
        if dataclasses.is_dataclass(hints[key])
        else _convert(hints[key], value, prefix + key)
        for key, value in tree.items()
    }
    return kind(**values)


def _convert(hint: Any, value: Any, key: str) -> Any:
    union = typing.get_origin(hint) in (types.UnionType, typing.Union)
    options = typing.get_args(hint) if union else (hint,)
    if value is None and type(None) in options:
        return None
    words = [word for one in options for word in typing.get_args(one) if _is_literal(one)]
    if isinstance(value, str) and value in words:
        return value
    kind = next((one for one in options if one is not type(None) and not _is_literal(one)), None)
    if kind is None:
        raise ConfigError(f"{key} = {value!r}; valid: {', '.join(words)}")
    if typing.get_origin(kind) is tuple:
        of_texts = typing.get_args(kind)[0] is str  # else of tables, checked by their own group
        wanted: Any = str if of_texts else dict
        if not isinstance(value, list) or not all(isinstance(one, wanted) for one in value):
            what = 'texts ["..."]' if of_texts else "tables {name = ...}"
            raise ConfigError(f"{key} = {value!r} should be a list of {what}")
        return tuple(value)
    if kind is float and type(value) is int and abs(value) < 2**53:
        return float(value)
    if type(value) is not kind:
        names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
        raise ConfigError(f"{key} = {value!r} should be {' or '.join([names[kind], *words])}")
    return value


def _is_literal(hint: Any) -> bool:
    return typing.get_origin(hint) is Literal


def _all_keys() -> list[str]:
    return [key for key, _ in flatten(RunConfig(dataset="any").to_dict())]
