"""How soon tl is as good as the Keras guide, and how good it is when the guide is done.

    python benchmarks/time_to_accuracy.py time DATA WEIGHTS
    python benchmarks/time_to_accuracy.py folds DATA WEIGHTS --fold-seeds 3
    python benchmarks/time_to_accuracy.py strategies DATA WEIGHTS
    python benchmarks/time_to_accuracy.py few-shot DATA WEIGHTS
    python benchmarks/time_to_accuracy.py report

DATA is a folder with flower_photos/, cifar10_jpeg.tar.gz and fashion_mnist/, WEIGHTS one with the
files of Keras' MobileNets. Every contender is a process of its own over the same links to the same
pictures; they take turns, and every clock starts with the process. Each training is a line of
--results as soon as it ends; a command that is run again does what is missing, and prints the table
of all that is there. What it should reach is in docs/benchmarks.md.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from comparison.contenders import run_contender
from comparison.datasets import open_pictures
from comparison.results import Result, Trial, append_result, read_results
from comparison.splits import few_shot, link_split, make_fold, picture_keys
from comparison.tables import TABLES, table_of
from comparison.trials import Plan, budget_s, possible_trials, trials_of

BACKBONES = ("mobilenet_0.25", "mobilenet_v2_0.35")
PHOTOS = ("flower_photos", "cifar10")
STRATEGIES = ("features", "last", "stages", "all", "auto")
SHOTS = (1, 5, 10, 25)
FOLDS = 5


def main() -> None:
    """Measure what is missing, and print a table."""
    options = read_options()
    if options.command != "report":
        measure(trials_for(options), options)
    results = read_results(options.results)
    for command in TABLES if options.command == "report" else (options.command,):
        print("\n".join(["", *table_of(command, results)]))


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Compare tl with the Keras guide.")
    commands = parser.add_subparsers(dest="command", required=True)
    kept = argparse.ArgumentParser(add_help=False)
    kept.add_argument("--results", type=Path, default=Path("time_to_accuracy.jsonl"))
    commands.add_parser("report", parents=[kept], help="print the tables of a file of results")
    of_all = argparse.ArgumentParser(add_help=False, parents=[kept])
    of_all.add_argument("data", type=Path)
    of_all.add_argument("weights", type=Path)
    of_all.add_argument("--size", type=int, default=224, help="pixels")
    of_all.add_argument("--quick", action="store_true", help="one epoch; only to try it out")

    def add(
        name: str, help_: str, seeds: int, **defaults: Sequence[str]
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, parents=[of_all], help=help_)
        for option, values in defaults.items():
            command.add_argument(f"--{option}", nargs="+", default=values)
        command.add_argument("--fold-seeds", type=int, default=seeds, help="draws of the folds")
        return command

    contenders = ("guide", "guide_cached", "tl")
    add("time", "seconds to the guide's accuracy", 3, datasets=PHOTOS[:1], backbones=BACKBONES,
        contenders=contenders)  # fmt: skip
    folds = add("folds", "accuracy at the guide's wall time", 3, datasets=PHOTOS,
                backbones=BACKBONES[:1], contenders=("guide", "tl"))  # fmt: skip
    folds.add_argument("--budget", default="guide", help="tl's seconds  [default: the guide's]")
    strategies = add("strategies", "auto against all others", 1,
                     datasets=(*PHOTOS, "fashion_mnist"), backbones=BACKBONES[:1],
                     strategies=STRATEGIES)  # fmt: skip
    for command in (folds, strategies):
        command.add_argument("--folds", type=int, default=FOLDS)
    few = add("few-shot", "few pictures a class", 3, datasets=PHOTOS[:1], backbones=BACKBONES,
              contenders=("guide", "tl"))  # fmt: skip
    few.add_argument("--shots", nargs="+", type=int, default=SHOTS)
    options = parser.parse_args()
    for name in ("data", "weights"):
        if not getattr(options, name, Path()).is_dir():
            parser.error(f"{name.upper()} {getattr(options, name)}: no such folder")
    return options


def trials_for(options: argparse.Namespace) -> list[Trial]:
    """Return what to measure, without what this version of tl cannot do; say what that is."""
    plan = Plan(
        command=options.command,
        contenders=options.contenders
        if "contenders" in options
        else [f"tl:{strategy}" for strategy in options.strategies],
        datasets=options.datasets,
        backbones=options.backbones,
        seeds=options.fold_seeds,
        folds=range(options.folds) if "folds" in options else (0,),
        n_folds=options.folds if "folds" in options else FOLDS,
        shots=getattr(options, "shots", (0,)),
        budget=getattr(options, "budget", ""),
        size=options.size,
        quick=options.quick,
    )
    from tl.cli.finetune import finetune

    of_tl = {option.name: option for option in finetune.params}
    strategies = getattr(of_tl["strategy"].type, "choices", ())
    trials, lacks = possible_trials(trials_of(plan), strategies, has_budget="time_budget" in of_tl)
    for line in lacks:
        print(line, file=sys.stderr)
    return trials


def measure(trials: Sequence[Trial], options: argparse.Namespace) -> None:
    """Run the trials that have no result yet."""
    known = {one.trial: one for one in read_results(options.results)}
    missing = [trial for trial in trials if trial not in known]
    if not missing:
        return
    with tempfile.TemporaryDirectory() as scratch:
        warm_up(options, sorted({trial.dataset for trial in missing}), Path(scratch))
        for number, trial in enumerate(missing, start=1):
            result = known[trial] = run_trial(trial, options, known, Path(scratch))
            append_result(options.results, result)
            print(
                f"{number}/{len(missing)}  {trial.dataset} {trial.backbone} fold {trial.fold} seed "
                f"{trial.seed} {trial.label}: {result.accuracy:.3f} after {result.wall_s:.0f} s",
                file=sys.stderr,
            )


def warm_up(options: argparse.Namespace, datasets: Sequence[str], scratch: Path) -> None:
    """Read pictures and libraries once, so that the first contender does not wait for the disk."""
    for name in datasets:
        root = open_pictures(name, options.data, scratch)
        for key in picture_keys(root):
            (root / key).read_bytes()
    imports = [sys.executable, "-c", "import pipelines.finetune, mlflow"]
    subprocess.run(imports, check=True, capture_output=True)


def run_trial(
    trial: Trial, options: argparse.Namespace, known: dict[Trial, Result], scratch: Path
) -> Result:
    """Lay out the pictures of a trial, and run it."""
    root = open_pictures(trial.dataset, options.data, scratch)
    keys = picture_keys(root)
    split = make_fold(keys, n_folds=trial.n_folds, fold=trial.fold, seed=trial.seed)
    if trial.shots:
        split = few_shot(split, trial.shots)
    with tempfile.TemporaryDirectory(dir=scratch) as home:
        work = Path(home, "work")
        work.mkdir()
        folder = link_split(split, root, Path(home, "pictures"))
        return run_contender(trial, folder, options.weights, work, budget_s(trial, known))


if __name__ == "__main__":
    main()
