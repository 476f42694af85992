"""Transfer learning for pictures: from a folder of labelled pictures to a served model.

From a notebook::

    import tl
    result = tl.finetune(dataset="flower_photos", strategy="features")
    tl.evaluate(result.exported.path, "flower_photos").metrics["top_1_accuracy"]
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.evaluate import Evaluation
    from pipelines.finetune import FinetuneResult

__all__ = ["evaluate", "finetune"]

# TensorFlow takes seconds to import, so nothing is until one of these is called. By name, because
# the layers below must not know the pipelines.
_PIPELINES = "pipelines"


def finetune(dataset: str, **settings: Any) -> "FinetuneResult":
    """Fine-tune on a folder of pictures and export the result.

    Args:
        dataset: folder with one sub-folder a class, or a built-in name.
        settings: keys of `tl.config.RunConfig`; those of its groups by their own name
            (``strategy="last"``, ``epochs=5``, ``image_size=96``).

    Returns:
        The run's folder, the Keras model, the exported version and its metrics.

    Raises:
        TlError: as the command line would report.
    """
    import importlib

    from tl.config import read_config, setting_key

    flags = {"dataset": dataset, **{setting_key(name): value for name, value in settings.items()}}
    plan = importlib.import_module(f"{_PIPELINES}.plan").make_plan(read_config(None, (), flags))
    result: FinetuneResult = importlib.import_module(f"{_PIPELINES}.finetune").finetune(plan)
    return result


def evaluate(model: "str | Path", dataset: str, *, allow_seen: bool = False) -> "Evaluation":
    """Measure an exported model on labelled pictures.

    Args:
        model: a model's folder, or one version's.
        dataset: folder of labelled pictures, or a built-in name.
        allow_seen: also measure on pictures that the model was trained with.
    """
    import importlib
    from pathlib import Path

    run = importlib.import_module(f"{_PIPELINES}.evaluate").evaluate
    result: Evaluation = run(Path(model), dataset, allow_seen=allow_seen)
    return result
