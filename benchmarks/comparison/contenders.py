"""Run one contender as a process of its own, and read what it left.

The clock starts just before the process does, for every contender alike, and each begins with an
empty working directory and an empty cache. The predictions of tl's exported model are made when
its clock has stopped.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .results import Result, Trial, parse_events, parse_journal

PEERS = Path(__file__).parents[1] / "peers"
PEER_NAMES = ("guide", "guide_cached")
MODEL = "contender"


def run_contender(
    trial: Trial, split: Path, weights: Path, work: Path, budget_s: float | None = None
) -> Result:
    """Train, predict the test pictures, and return both with the times.

    Args:
        trial: what to measure.
        split: folder of sides of class folders.
        weights: folder of weights files.
        work: empty folder to work in.
        budget_s: wall time that tl is told to keep to.

    Raises:
        SystemExit: a process failed; with its last words.
    """
    split, weights = split.resolve(), weights.resolve()
    if trial.contender in PEER_NAMES:
        return _run_peer(trial, split, weights, work)
    return _run_tl(trial, split, weights, work, budget_s)


def _run_peer(trial: Trial, split: Path, weights: Path, work: Path) -> Result:
    epochs = ["--head-epochs", "1", "--tuning-epochs", "1"] if trial.quick else []
    words = [
        str(PEERS / f"keras_{trial.contender}.py"), str(split), str(weights), str(work),
        "--backbone", trial.backbone, "--size", str(trial.size), "--seed", str(trial.seed), *epochs,
    ]  # fmt: skip
    _run([*words, "--began", repr(time.time())], work, _environment(work, weights))
    found = parse_events((work / "events.jsonl").read_text().splitlines())
    predictions = json.loads((work / "predictions.json").read_text())
    return Result(
        trial=trial,
        epochs=found,
        wall_s=found[-1].seconds,
        predictions=predictions,
        commit=commit(),
    )


def _run_tl(trial: Trial, split: Path, weights: Path, work: Path, budget_s: float | None) -> Result:
    words = [
        "-m", "tl.cli", "finetune", "--dataset", str(split), "--name", MODEL,
        "--backbone", trial.backbone, "--image-size", str(trial.size), "--seed", str(trial.seed),
    ]  # fmt: skip
    _, _, strategy = trial.contender.partition(":")
    if strategy:
        words += ["--strategy", strategy]
    if budget_s is not None:
        words += ["--time-budget", f"{budget_s:.0f}s"]
    if trial.quick:
        words += ["--epochs", "1", "--set", "augment.feature_views=0"]
    environment = _environment(work, weights)
    began = time.time()
    _run(words, work, environment)
    wall_s = time.time() - began
    (journal,) = (work / "runs").glob("*/tracking.jsonl")
    return Result(
        trial=trial,
        epochs=parse_journal(journal.read_text().splitlines(), began),
        wall_s=wall_s,
        predictions=_predict(split / "test", work, environment),
        commit=commit(),
    )


def _predict(test: Path, work: Path, environment: dict[str, str]) -> dict[str, str]:
    """Ask the exported model; keys are those of the pictures below ``test``."""
    pictures = [str(path) for path in sorted(test.glob("*/*"))]
    answer = _run(
        ["-m", "tl.cli", "predict", f"models/{MODEL}", "--json", *pictures], work, environment
    )
    return {
        Path(one["file"]).relative_to(test).as_posix(): one["labels"][0]
        for one in json.loads(answer)
    }


def _environment(work: Path, weights: Path) -> dict[str, str]:
    """Return the surroundings of a user who starts afresh."""
    kept = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    return {
        **kept,
        "TL_WEIGHTS_DIR": str(weights),
        "TL_CACHE_DIR": str(work / "cache"),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


def _run(words: Sequence[str], work: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, *words], cwd=work, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-15:])
        raise SystemExit(f"{' '.join(words[:4])} ... ended with {done.returncode}:\n{last}")
    return done.stdout


def commit() -> str:
    """Return what is checked out, or nothing outside of git."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=PEERS, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    return done.stdout.strip()
