"""What a model said of each test picture, as a table that anything reads: ``predictions.parquet``.

A row a picture. Two runs are compared by it, the report takes its pictures from it, and people
open it with pandas.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tl.errors import ConfigError
from tl.problem import Problem
from tl.words import storable
from tl.written_aside import written_aside

PREDICTIONS = "predictions.parquet"
NO_GROUP = "none"
"""In the cut by groups, of a picture that is a group of its own."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictions:
    """Answers beside the truth.

    Attributes:
        problem: of the model.
        class_names: in label order; of values, the name of what they measure.
        side: which pictures: ``test`` or ``val``.
        keys: what messages call each picture.
        identities: what tells them apart, as splits do.
        truth: (n,) class indices, or float32 (n, width).
        answers: float32 (n, width), probabilities or values.
        extras: (n,) each: ``abstain``, ``ood_score`` and ``size`` where there are any.
        cuts: by name, the part that each picture belongs to, as `tl.evaluation.slices` takes it.
    """

    problem: Problem
    class_names: tuple[str, ...]
    side: str
    keys: Sequence[str] = field(repr=False)
    identities: Sequence[str] = field(repr=False)
    truth: NDArray[Any] = field(repr=False)
    answers: NDArray[np.float32] = field(repr=False)
    extras: Mapping[str, NDArray[Any]] = field(default_factory=dict, repr=False)
    cuts: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def predicted(self) -> NDArray[Any]:
        """The most likely class of each picture, (n,)."""
        return np.asarray(self.answers.argmax(axis=1))

    @property
    def confidence(self) -> NDArray[np.float32]:
        """The largest probability of each picture, (n,)."""
        return np.asarray(self.answers.max(axis=1))

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each picture's answer is right; of several labels, whether all are."""
        if self.problem == "multi_label":
            return np.asarray(((self.answers > 0.5) == (self.truth > 0.5)).all(axis=1))
        return np.asarray(self.predicted == self.truth)


def write_predictions(predictions: Predictions, path: Path) -> None:
    """Write the table in one step."""
    import pyarrow as pa
    from pyarrow import parquet

    names = predictions.class_names
    answers = np.ascontiguousarray(predictions.answers, np.float32)
    columns: dict[str, Any] = {
        "key": [storable(key) for key in predictions.keys],
        "identity": list(predictions.identities),
        "truth": _nested(predictions.truth),
        "answers": _nested(answers),
    }
    if predictions.problem == "single_label":
        columns["label"] = [names[label] for label in predictions.truth.tolist()]
        columns["predicted"] = [names[label] for label in predictions.predicted.tolist()]
        columns["score"] = predictions.confidence
        columns["right"] = predictions.right
    columns |= dict(predictions.extras)
    columns |= {f"cut.{name}": list(values) for name, values in predictions.cuts.items()}
    table = pa.table(columns).replace_schema_metadata(
        {
            "tl.problem": predictions.problem,
            "tl.side": predictions.side,
            "tl.class_names": "\n".join(names),
            "tl.extras": "\n".join(predictions.extras),
        }
    )
    with written_aside(path) as aside:
        parquet.write_table(table, aside, compression="zstd")


def read_predictions(path: Path) -> Predictions:
    """Read the table.

    Raises:
        ConfigError: there is none, or it is damaged.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(path)
        facts = {
            key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()
        }
        problem: Any = facts["tl.problem"]
        truth = np.array(table["truth"].to_pylist())
        return Predictions(
            problem=problem,
            class_names=tuple(facts["tl.class_names"].split("\n")),
            side=facts["tl.side"],
            keys=table["key"].to_pylist(),
            identities=table["identity"].to_pylist(),
            truth=truth if problem == "single_label" else truth.astype(np.float32),
            answers=np.array(table["answers"].to_pylist(), np.float32),
            extras={
                name: table[name].to_numpy() for name in facts["tl.extras"].split("\n") if name
            },
            cuts={
                name.removeprefix("cut."): table[name].to_pylist()
                for name in table.column_names
                if name.startswith("cut.")
            },
        )
    except FileNotFoundError:
        raise ConfigError(
            f"{path.parent} has no {path.name}: its model was measured on nothing, or by an older "
            f"tl; `tl export {path.parent.name}` measures it again"
        ) from None
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0][:200]
        raise ConfigError(f"{path} is damaged or was not written by tl: {reason}") from error


def _nested(values: NDArray[Any]) -> Any:
    import pyarrow as pa

    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
