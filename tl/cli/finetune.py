"""`tl finetune`: plan, train, publish, and say what came of it."""

import re
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tl.cli.shown_path import shown_path
from tl.config_reading import read_config, setting_key
from tl.durations import parse_duration
from tl.errors import ConfigError
from tl.words import counted

if TYPE_CHECKING:
    from pipelines.exported import Unreadable
    from pipelines.finetune import FinetuneResult
    from pipelines.plan import Plan
    from pipelines.resume import Resumption
    from tl.data.prepare import PreparedData


STRATEGIES = {
    "auto": "head, then what probes of every stage, data and time speak for",
    "features": "head",
    "stages": "head on the stages that know most",
    "last": "head, then fine-tune last",
    "all": "head, then fine-tune all",
}


@click.command()
@click.option("--dataset", help="Folder of class folders, table, archive, or a built-in name.")
@click.option(
    "--problem",
    type=click.Choice(["auto", "single_label", "multi_label", "regression"]),
    help="One class a picture, several, or a number.  [default: auto: as labelled]",
)
@click.option("--backbone", help="A name of `tl zoo`.  [default: auto]")
@click.option("--weights", help="auto, imagenet, tl, none, or a file.  [default: auto]")
@click.option("--name", help="Of the model.  [default: the dataset's]")
@click.option("--epochs", type=int, help="Most passes of fine-tuning.  [default: 15]")
@click.option(
    "--batch-size",
    metavar="INTEGER|auto",
    callback=lambda context, option, text: _whole_number(text),
    help="Pictures an update; auto tries which number is fastest.  [default: 32]",
)
@click.option("--image-size", type=int, help="Side in pixels.  [default: the backbone's]")
@click.option(
    "--strategy",
    type=click.Choice(list(STRATEGIES)),
    help="The head only, on the stages that know most, the last stage too, or everything; auto "
    "decides by measurement.  [default: auto]",
)
@click.option(
    "--mixup", type=float, help="Blend pictures while fine-tuning; 0.2 is usual.  [default: 0]"
)
@click.option("--cutmix", type=float, help="Paste pieces of others in; 1.0 is usual.  [default: 0]")
@click.option(
    "--deterministic",
    is_flag=True,
    default=None,
    help="The same weights to the bit on a GPU too, though slower.",
)
@click.option("--time-budget", metavar="TIME", help="Of the whole command, such as 10m.")
@click.option("--seed", type=int, help="Of split, order and augmentation.  [default: 0]")
@click.option("--output", help="Folder that receives NAME/VERSION.  [default: models]")
@click.option("--experiment", help="MLflow experiment.  [default: the model's name]")
@click.option("--shots", type=int, help="Training pictures a class.  [default: all]")
@click.option("--exclude", help="CSV that names pictures to leave out, as a run's suspects.csv.")
@click.option("--dedupe", is_flag=True, default=None, help="Keep near-duplicates on one side.")
@click.option(
    "--cache",
    type=click.Choice(["auto", "none", "ram", "disk"]),
    help="Keep decoded training pictures between epochs.  [default: auto: in memory up to 512 MiB]",
)
@click.option(
    "--identity",
    type=click.Choice(["auto", "content", "key"]),
    help="What tells pictures apart.  [default: content up to 100,000 pictures, else key]",
)
@click.option("--config", "file", type=click.Path(path_type=Path), help="TOML file of settings.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="One setting; repeat.")
@click.option("--dry-run", is_flag=True, help="Check everything and say what would happen.")
@click.option("--resume", metavar="RUN", help="Go on with a run that was stopped or killed.")
@click.option("--force", is_flag=True, help="With --resume, though settings or pictures changed.")
def finetune(
    file: Path | None,
    settings: tuple[str, ...],
    dry_run: bool,
    resume: str | None,
    force: bool,
    **flags: Any,
) -> None:
    """Fine-tune a pretrained backbone on a folder of pictures and export it.

    The result is OUTPUT/NAME/VERSION, a SavedModel that `tl serve` and TensorFlow Serving answer
    predictions from. The figure that is printed was measured on it, on pictures it never saw.
    """
    began = time.monotonic()
    from pipelines.plan import make_plan

    if flags["time_budget"] is not None:
        flags["time_budget"] = parse_duration(flags["time_budget"], "--time-budget")
    values = {setting_key(key): value for key, value in flags.items()}
    resumption = None
    if resume is not None:
        resumption = _resumption(resume, file, settings, values, force)
    if resumption is not None:
        plan = resumption.plan
    elif force:
        raise ConfigError("--force says to go on in spite of changes; it needs --resume RUN")
    else:
        plan = make_plan(read_config(file, settings, values), dry_run=dry_run)
    for line in plan_lines(plan):
        click.echo(line)
    if dry_run:
        # Published files were compared by their digest; only a network tells whether others fit.
        if plan.weights is not None and plan.weights.kind == "file":
            from tl.cli.quiet import start_keras

            start_keras()
            from pipelines.fit_of_weights import check_weights_fit

            check_weights_fit(plan, _say)
        click.echo("dry run: nothing was trained or written")
        return
    click.echo("starting TensorFlow ...", err=True)
    from tl.cli.quiet import start_keras

    start_keras()
    from pipelines import finetune as pipeline
    from tl.cli.progress import progress_listener

    listener = progress_listener()
    # `docker stop` and batch systems end a run this way: the same orderly end as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if resumption is not None:
            result = pipeline.resume(resumption, listener, _say, began)
        else:
            result = pipeline.finetune(plan, listener, _say, began)
    finally:
        getattr(listener, "close", lambda: None)()
    for line in result_lines(plan, result, time.monotonic() - began):
        click.echo(line)
    if result.tracking_fault:
        click.echo(f"warning: {result.tracking_fault}", err=True)


def _whole_number(text: str | None) -> int | str | None:
    """Return a number where there is one; what else was typed is the config's to judge."""
    return int(text) if text is not None and re.fullmatch(r"-?\d{1,18}", text) else text


def _say(line: str) -> None:
    click.echo(line, err=True)


def _resumption(
    run: str,
    file: Path | None,
    settings: tuple[str, ...],
    values: dict[str, Any],
    force: bool,
) -> "Resumption":
    """Read the run that is to go on; what else was typed has to agree with it."""
    from pipelines.resume import plan_resumption
    from tl.run_folder import find_run, read_record

    folder = find_run(run)
    config = read_config(file, settings, values, base=read_record(folder).config)
    return plan_resumption(folder, config, force=force)


def plan_lines(plan: "Plan") -> list[str]:
    """Describe a plan for people."""
    from tl.data.answers import answer_words

    data, pictures = plan.data, plan.data.pictures
    counts = data.side_counts()
    lines = [
        f"dataset   {pictures.dataset.name}: {counted(len(pictures.examples), 'picture')} "
        f"{answer_words(pictures.examples)} "
        f"({counts['train']:,} train, {counts['val']:,} validation, {counts['test']:,} test)"
    ]
    lines += [f"          {note}" for note in data_notes(data)]
    lines += [f"          {choice}" for choice in data_choices(plan)]
    lines += check_lines(plan)
    if plan.backbone_reason:
        lines.append(click.style(f"backbone  >>> {plan.backbone_reason} <<<", bold=True))
    weights = f", {plan.weights.source}" if plan.weights else ""
    if not plan.candidates:
        height, width = plan.image_size
        lines.append(f"backbone  {plan.backbone.name} at {height} x {width}{weights}")
    lines += [
        f"training  {STRATEGIES[plan.config.training.strategy]}; "
        f"augmentation {plan.recipe}; seed {plan.config.seed}",
        f"output    {plan.model_folder}",
    ]
    return lines


def data_choices(plan: "Plan") -> list[str]:
    """Say what was asked for beyond the defaults of split and feed."""
    data, balance = plan.config.data, plan.config.training.balance
    choices = {
        f"{data.shots} training pictures a class (--shots)": data.shots,
        f"fold {data.fold} of {data.folds}, counted from 0 (data.fold)": data.folds,
        f"classes balanced by {balance} (training.balance)": balance != "none",
        f"decoded pictures kept, --cache {data.cache}": data.cache in ("ram", "disk"),
        f"{counted(data.workers, 'process')} beside this one (data.workers)": data.workers,
    }
    return [words for words, is_asked in choices.items() if is_asked]


def data_notes(data: "PreparedData") -> list[str]:
    """Say what was left out of a dataset, moved or turned into another format."""
    pictures, notes = data.pictures, []
    if ignored := pictures.dataset.ignored:
        notes.append(f"{counted(ignored, 'file')} without a picture's name passed over")
    if faults := pictures.unreadable:
        notes.append(f"{counted(len(faults), 'unreadable picture')} left out:")
        notes += [f"  {key}: {fault}" for key, fault in faults[:10]]
        if len(faults) > 10:
            notes.append(f"  ... and {len(faults) - 10} more")
    if pictures.sizes is None:
        notes.append("told apart by their names; each is read when it is needed (--identity key)")
    if near := data.near_duplicates:
        notes.append(f"{counted(near, 'picture')} nearly the same as another: kept on its side")
    if data.excluded:
        notes.append(
            f"{counted(len(data.excluded), 'picture')} left out (--exclude), also where they "
            "would be test pictures"
        )
    if moved := data.left_out:
        notes.append(f"{counted(len(moved), 'new picture')} of a group on two sides left out")
    if skipped := pictures.dataset.skipped:
        notes.append(
            f"{counted(len(skipped), 'row')} passed over; the first: {': '.join(skipped[0])}"
        )
    if others := pictures.formats.get("other", 0):
        notes.append(
            f"{counted(others, 'picture')} in formats that servers do not decode: turned into PNG"
        )
    return notes


def check_lines(plan: "Plan") -> list[str]:
    """Say in two lines what the quick part of `tl check` finds; nothing where that is nothing."""
    from collections import Counter

    from pipelines.check import quick_check
    from tl.data.findings.finding import KINDS

    found = quick_check(plan.config.dataset, plan.config.data, plan.data.pictures)
    if not found:
        return []
    counts = Counter(KINDS[one.kind][1] for one in found)
    kinds = "; ".join(f"{count} {what}" for what, count in counts.items())
    return [
        f"check     {kinds}",
        f"          tl check --dataset {plan.config.dataset} names them and looks for more",
    ]


def unreadable_lines(faults: "Unreadable") -> list[str]:
    """Name the first of the pictures that a model could not be measured on."""
    if not faults:
        return []
    key, why = faults[0]
    count = counted(len(faults), "unreadable picture")
    return [f"          {count} not measured on; the first: {key}: {why}"]


def result_lines(plan: "Plan", result: "FinetuneResult", seconds: float) -> list[str]:
    """Describe a result for people."""
    from tl.evaluation.measures import headline_line
    from tl.run_folder import read_record
    from tl.tracking import default_store
    from tl.training.progress import kept_epoch

    lines = [f"run       {result.run}"]
    if (report := result.run / "report.html").is_file():
        lines.append(f"report    {report}")
    kept = kept_epoch(result.records)
    if kept and kept.phase != (tried := result.records[-1].phase):
        lines.append(
            f"kept      {kept.phase}: {tried} did not get below its validation loss of "
            f"{kept.metrics['val_loss']:.4f} and was undone"
        )
    if exported := result.exported:
        lines.append(f"model     {shown_path(exported.path)}")
        if exported.metrics:
            side = {"test": "test", "val": "validation"}[exported.measured_on]
            lines.append(headline_line(exported.problem, exported.metrics, side))
            if against := read_record(result.run).outcome.get("against_best"):
                lines.append(f"against   {against}")
        lines += unreadable_lines(exported.unreadable)
    if not result.tracking_fault:
        experiment = plan.config.experiment or plan.name
        lines.append(f"tracked   MLflow experiment {experiment!r} in {default_store().uri}")
    stages = ", ".join(f"{stage} {value:.0f} s" for stage, value in result.seconds.items())
    lines.append(f"time      {seconds:.0f} s ({stages})")
    if exported and sys.stdout.isatty():
        lines.append(f"next      tl serve {plan.model_folder}    tl experiments")
    return lines
