"""What is written beside a file of weights: whose they are, their licence and their hash.

`tl pretrain` writes NAME.json beside NAME.npz, `tl finetune` run.json into the folder of a run.
Anybody may have written either: what is no short line of text is passed over.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tl.errors import WeightsError

_MOST_BYTES = 1 << 20
_LONGEST = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What is said of a file; None where nothing is.

    Attributes:
        backbone: name in the zoo, with its options.
        licence: of the pictures.
        sha256: hex digest that the file had.
    """

    backbone: str | None = None
    licence: str | None = None
    sha256: str | None = None


def provenance_of(path: Path) -> Provenance:
    """Read what lies beside a file of weights."""
    facts = _facts(path.with_suffix(".json")) or _facts(path.with_name("run.json"))
    config = facts.get("config")
    config = config if isinstance(config, dict) else {}
    return Provenance(
        backbone=_text(config, "keep") or _text(config, "backbone") or _text(facts, "backbone"),
        licence=_text(facts, "data_licence"),
        sha256=_text(facts, "sha256"),
    )


def refuse_other_form(name: str, path: Path) -> None:
    """Refuse weights of a classic that was built in another way: shapes do not show it.

    Args:
        name: of the backbone that they are to be put into, with its options.
        path: of the weights.

    Raises:
        WeightsError: another activation, pooling and so on.
    """
    stated = provenance_of(path).backbone
    if stated in (None, name) or stated.partition(":")[0] != name.partition(":")[0]:
        return  # of a larger network perhaps; shapes tell what fits
    raise WeightsError(
        f"{path} holds weights of {stated}, and {name} is another network, though every shape "
        f"fits. Pass --backbone {stated}, or --set model.partial_weights=true to begin with them "
        "all the same."
    )


def _facts(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        with path.open("rb") as file:
            facts = json.loads(file.read(_MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _text(facts: dict[str, Any], key: str) -> str | None:
    text = facts.get(key)
    if not isinstance(text, str) or not text.isprintable() or len(text) > _LONGEST:
        return None
    return text.strip() or None
