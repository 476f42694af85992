"""Transfer learning for pictures: from a folder of labelled pictures to a served model.

From a notebook::

    import tl
    result = tl.finetune(dataset="flower_photos", strategy="features")
    result.model  # a plain keras.Model
    tl.evaluate(result.exported.path, "flower_photos").metrics["top_1_accuracy"]
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.choice import Choice
    from pipelines.contact_sheet import Sheet
    from pipelines.evaluate import Evaluation
    from pipelines.exported import Exported
    from pipelines.finetune import FinetuneResult
    from pipelines.predict import Prediction
    from tl.config import RunConfig
    from tl.data.check import CheckReport

__all__ = [
    "check",
    "choose",
    "contact_sheet",
    "evaluate",
    "export_run",
    "finetune",
    "predict",
    "resume",
]

# TensorFlow takes seconds to import, so nothing is until one of these is called. By name, because
# the layers below must not know the pipelines.
_PIPELINES = "pipelines"


def finetune(
    dataset: "str | Path",
    *,
    config: "str | Path | None" = None,
    say: Callable[[str], None] = print,
    **settings: Any,
) -> "FinetuneResult":
    """Fine-tune on a folder of pictures and export the result.

    Args:
        dataset: folder with one sub-folder a class, a table, an archive, or a built-in name.
        config: TOML file of settings, which those given here win over.
        say: receives one-line reports of what happens.
        settings: keys of `tl.config.RunConfig`; those of its groups by their own name
            (``strategy="last"``, ``epochs=5``, ``image_size=96``, ``time_budget="10m"``).

    Returns:
        The run's folder, the Keras model, the exported version and its metrics.

    Raises:
        TlError: as the command line would report.
    """
    import importlib

    plan = importlib.import_module(f"{_PIPELINES}.plan").make_plan(
        _config(dataset, config, settings)
    )
    run = importlib.import_module(f"{_PIPELINES}.finetune").finetune
    result: FinetuneResult = run(plan, None, say)
    return result


def choose(
    dataset: "str | Path",
    *,
    time_budget: str | float = "5m",
    config: "str | Path | None" = None,
    say: Callable[[str], None] = print,
    **settings: Any,
) -> "Choice":
    """Rank the backbones whose weights are on this machine by what they know of your pictures.

    Args:
        dataset: as for `finetune`.
        time_budget: such as ``"90s"`` or ``"5m"``, or seconds.
        config: TOML file of settings.
        say: receives one-line reports of what happens.
        settings: as for `finetune`, which would follow.

    Returns:
        The ranking; ``.ranking.recommended`` is the name to pass to `finetune`.

    Raises:
        TlError: as the command line would report.
    """
    import importlib

    from tl.durations import parse_duration

    budget_s = parse_duration(str(time_budget), "time_budget")
    wanted = _config(dataset, config, settings)
    data = importlib.import_module(f"{_PIPELINES}.plan").plan_data(wanted)
    run = importlib.import_module(f"{_PIPELINES}.choose").choose
    choice: Choice = run(wanted, data, budget_s=budget_s, say=say)
    return choice


def resume(
    run: "str | Path",
    *,
    force: bool = False,
    config: "str | Path | None" = None,
    say: Callable[[str], None] = print,
    **settings: Any,
) -> "FinetuneResult":
    """Go on with a run that was stopped or killed, to the same end.

    Args:
        run: its folder, or the beginning or end of its name below ``runs/``.
        force: go on although settings, pictures or labels have changed.
        config: TOML file of settings.
        settings: to go on with, as for `finetune`; what is not given stays as the run had it.
        say: receives one-line reports of what happens.

    Raises:
        TlError: as the command line would report.
    """
    import importlib

    from tl.run_folder import find_run, read_record

    folder = find_run(str(run))
    plan = importlib.import_module(f"{_PIPELINES}.resume").plan_resumption
    wanted = _config(None, config, settings, base=read_record(folder).config)
    resumption = plan(folder, wanted, force=force)
    go_on = importlib.import_module(f"{_PIPELINES}.finetune").resume
    result: FinetuneResult = go_on(resumption, None, say)
    return result


def evaluate(
    model: "str | Path",
    dataset: "str | Path",
    *,
    allow_seen: bool = False,
    tta: str = "none",
    **settings: Any,
) -> "Evaluation":
    """Measure an exported model on labelled pictures.

    Args:
        model: a model's folder, or one version's.
        dataset: folder of labelled pictures, or a built-in name.
        allow_seen: also measure on pictures that the model was trained with.
        tta: average over views of every picture: ``none``, ``ten-crop`` or ``multi-scale``.
        settings: how the dataset is read, keys of `tl.config.DataConfig`.
    """
    import importlib
    from pathlib import Path

    data = _config(dataset, None, settings).data
    run = importlib.import_module(f"{_PIPELINES}.evaluate").evaluate
    result: Evaluation = run(Path(model), str(dataset), allow_seen=allow_seen, data=data, tta=tta)
    return result


def predict(
    model: "str | Path", pictures: "str | Path | Sequence[str | Path]"
) -> "list[Prediction]":
    """Ask an exported model, or a running server, about picture files.

    Args:
        model: a model's folder, one version's, or the address of a server
            (``http://host:port/name`` or ``grpc://host:port/name``).
        pictures: a file of any format that training takes, or several.

    Raises:
        TlError: no answer, or a picture that cannot be read.
    """
    import importlib
    from pathlib import Path

    from tl.errors import PredictionError

    if isinstance(pictures, str | Path):
        pictures = [pictures]
    run = importlib.import_module(f"{_PIPELINES}.predict").predict
    found, faults = run(str(model), [Path(one) for one in pictures])
    if faults:
        raise PredictionError("; ".join(faults))
    predictions: list[Prediction] = found
    return predictions


def export_run(run: "str | Path") -> "Exported":
    """Publish a run's weights again, as the model's next version; also of one that was stopped.

    As `tl export`, whose word is the name of a package here.

    Args:
        run: its folder, or the beginning or end of its name below ``runs/``.
    """
    import importlib

    from tl.run_folder import find_run

    folder = find_run(str(run))
    data = importlib.import_module(f"{_PIPELINES}.reopen").reopen_data(folder)
    exported: Exported = importlib.import_module(f"{_PIPELINES}.export").export_run(folder, data)
    return exported


def check(
    dataset: "str | Path",
    *,
    html: "str | Path | None" = None,
    fix: "str | Path | None" = None,
    **settings: Any,
) -> "CheckReport":
    """Look at every picture of a dataset and return what is wrong with it.

    Args:
        dataset: as for `finetune`.
        html: also write a page with the pictures there.
        fix: also write a CSV without the faults there; no picture is changed.
        settings: how the dataset is read, keys of `tl.config.DataConfig`.
    """
    import importlib
    from pathlib import Path

    run = importlib.import_module(f"{_PIPELINES}.check")
    wanted = _config(dataset, None, settings)
    page, fixed = (None if one is None else Path(one) for one in (html, fix))
    run.refuse_outputs(page, fixed)
    report: CheckReport = run.check(wanted.dataset, wanted.data, fix=fixed is not None)
    if page is not None:
        run.write_page(report, wanted.data, page)
    if fixed is not None:
        run.write_manifest(report, wanted.data, fixed)
    return report


def contact_sheet(
    dataset: "str | Path", output: "str | Path | None" = None, *, pictures: int = 6, **settings: Any
) -> "Sheet":
    """Draw originals beside what `finetune` would make of them, into a PNG.

    As `tl augment`, whose word is the name of a package here.

    Args:
        dataset: as for `finetune`.
        output: the PNG; None takes ``augment-<recipe>.png`` here.
        pictures: rows of the sheet.
        settings: as for `finetune`, such as ``recipe`` and ``image_size``.
    """
    import importlib
    from pathlib import Path

    draw = importlib.import_module(f"{_PIPELINES}.contact_sheet").contact_sheet
    wanted = _config(dataset, None, settings)
    sheet: Sheet = draw(wanted, None if output is None else Path(output), pictures=pictures)
    return sheet


def _config(
    dataset: "str | Path | None",
    file: "str | Path | None",
    settings: dict[str, Any],
    base: "RunConfig | None" = None,
) -> "RunConfig":
    """Combine a file of settings and those that are given by their last part."""
    from pathlib import Path

    from tl.config_reading import read_config, setting_key
    from tl.durations import parse_duration

    if isinstance(settings.get("time_budget"), str):
        budget = parse_duration(settings["time_budget"], "time_budget")
        settings = {**settings, "time_budget": budget}
    flags = {setting_key(name): value for name, value in settings.items()}
    if dataset is not None:
        flags["dataset"] = str(dataset)
    return read_config(None if file is None else Path(file), (), flags, base=base)
