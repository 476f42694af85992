"""Whether one run's model is better than another's.

    tl compare-runs A B

Both were measured on test pictures when they were exported; what they share decides. With a dataset
both are measured on it now.
"""

from pathlib import Path

from pipelines.promote import find_exported
from tl.config import DataConfig
from tl.errors import ConfigError
from tl.evaluation.compare import Comparison, compare_predictions
from tl.evaluation.predictions import PREDICTIONS, Predictions, read_predictions
from tl.manifest import read_manifest
from tl.run_folder import find_run


def compare_runs(first: str, second: str, dataset: str | None = None) -> Comparison:
    """Compare two runs, or two versions' folders, on the same pictures.

    Args:
        first: a run, or with a dataset also a version's folder.
        second: likewise.
        dataset: to measure both on; None takes the pictures of their runs.

    Raises:
        TlError: no such run, or no pictures that both can be measured on.
    """
    if dataset is None:
        tables = [_predictions_of(one) for one in (first, second)]
        return compare_predictions(*tables)
    from pipelines.evaluate import evaluate  # with TensorFlow

    measured = [
        evaluate(find_exported(one), dataset, data=DataConfig()).predictions
        for one in (first, second)
    ]
    here, there = measured
    if here is None or there is None:
        raise ConfigError(f"no picture of {dataset} can be read")
    return compare_predictions(here, there)


def _predictions_of(run: str) -> Predictions:
    if (Path(run) / "saved_model.pb").is_file():
        raise ConfigError(
            f"{run} is a version's folder: pass --dataset too, to measure both on it, or name its "
            f"run, {read_manifest(Path(run)).get('id', 'which it does not know')}"
        )
    return read_predictions(find_run(run) / PREDICTIONS)
