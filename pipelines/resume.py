"""From a run that was killed to a plan to go on with, or to what has changed since.

    tl finetune --resume RUN

No TensorFlow: what cannot go on is refused at once.
"""

import dataclasses
import logging
from dataclasses import dataclass
from pathlib import Path

from pipelines.plan import Plan, absolute_config, make_plan
from tl.config import RunConfig, TrainingConfig
from tl.data.prepare import PreparedData
from tl.errors import ConfigError, DatasetError, TlError, WeightsError
from tl.run_folder import CHECKPOINTS, SPLIT, RunRecord, read_record
from tl.strategy import Phase, replan
from tl.training.checkpoints import Checkpoint, read_checkpoint
from tl.words import differences

_FIXED = frozenset(
    f"training.{name}"
    for name in ("strategy", "last_stages", "batch_size", "batch_norm", "ema", "replicas")
)
"""Settings beside the network's own that shape what a checkpoint holds."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumption:
    """A run that can go on.

    Attributes:
        folder: of the run.
        plan: as it was, and where it was forced as it is now.
        checkpoint: to go on from; None where it was killed before the first one.
        record: of the run.
    """

    folder: Path
    plan: Plan
    checkpoint: Checkpoint | None
    record: RunRecord


def plan_resumption(
    folder: Path, config: RunConfig | None = None, *, force: bool = False
) -> Resumption:
    """Read a run and its newest intact checkpoint, and make sure that both still fit.

    Args:
        folder: of the run.
        config: that is asked for now; None for the run's own.
        force: go on although settings, pictures or labels have changed.

    Raises:
        ConfigError: the run is finished, or its settings are others now.
        DatasetError: its pictures or their labels are others now; its classes, forced or not.
        WeightsError: the pretrained weights are others now.
        TrainingError: its checkpoint was written by another version of tl.
    """
    record = read_record(folder)
    if record.state == "finished":
        raise ConfigError(
            f"{folder.name} is finished, so there is nothing to resume; its model is "
            f"{record.outcome.get('saved_model', 'not exported')}"
        )
    config = config or record.config
    checkpoint = read_checkpoint(folder / CHECKPOINTS)
    if checkpoint is not None:
        _refuse_another_network(record.config, absolute_config(config))
    _unless_forced(
        force,
        _other_settings(record.config, absolute_config(config)),
        ConfigError,
        "Leave them as they were, or pass --force to go on with the new ones",
    )
    before = Path(folder / SPLIT)
    data = config.data
    if before.is_file():
        data = dataclasses.replace(data, split_file=str(before))
    # By name: `auto` might find another one now.
    model = dataclasses.replace(config.model, backbone=record.backbone)
    plan = make_plan(dataclasses.replace(config, data=data, model=model, name=record.name))
    plan = dataclasses.replace(plan, config=config)
    if checkpoint is not None:
        _refuse_other_answers(record, plan.data)
    _unless_forced(
        force,
        _other_data(record, plan.data),
        DatasetError,
        "Put it back as it was, or pass --force to go on with what there is",
    )
    assert plan.weights is not None
    if plan.weights.sha256 != record.weights["sha256"]:
        raise WeightsError(
            f"{folder.name} began with other weights of {record.backbone} ({record.weights}) than "
            f"there are now ({plan.weights.source}, {plan.weights.sha256}); put them back"
        )
    if checkpoint is not None and config != record.config:
        checkpoint = _with_phases(checkpoint, record.config.training, config.training)
    return Resumption(folder=folder, plan=plan, checkpoint=checkpoint, record=record)


def _unless_forced(force: bool, changed: str | None, refusal: type[TlError], advice: str) -> None:
    """Refuse what has changed, or where it is forced say what that is."""
    if changed is None:
        return
    if not force:
        raise refusal(f"{changed}. {advice}")
    _log.warning("forced to go on: %s", changed)


def _refuse_another_network(before: RunConfig, now: RunConfig) -> None:
    """Refuse what no checkpoint can go on with, forced or not, before anything is changed."""
    then, here = before.flat(), now.flat()
    fixed = {key for key in then.keys() | here.keys() if key.startswith("model.")} | _FIXED
    changed = differences(
        {key: then.get(key) for key in fixed}, {key: here.get(key) for key in fixed}
    )
    if changed:
        raise ConfigError(
            f"a run that has begun cannot go on with another network or strategy: "
            f"{'; '.join(changed)}. Leave them as they were, or begin a new run"
        )


def _refuse_other_answers(record: RunRecord, data: PreparedData) -> None:
    if (data.problem, data.class_names) != (record.problem, record.class_names):
        raise DatasetError(
            f"the run's head answers {list(record.class_names) or record.problem}, and "
            f"{record.config.dataset} has {list(data.class_names) or data.problem} now: other "
            "classes need another head. Put them back as they were, or begin a new run"
        )


def _with_phases(checkpoint: Checkpoint, before: TrainingConfig, now: TrainingConfig) -> Checkpoint:
    """Give the phases that a run had settled the epochs and the rate that are asked for now."""
    phases = replan([Phase(**one) for one in checkpoint.facts["phases"]], before, now)
    facts = {**checkpoint.facts, "phases": [dataclasses.asdict(one) for one in phases]}
    return dataclasses.replace(checkpoint, facts=facts)


def _other_settings(before: RunConfig, now: RunConfig) -> str | None:
    """Name the settings that have changed."""
    changed = differences(before.flat(), now.flat())
    if not changed:
        return None
    return f"the run began with other settings: {'; '.join(changed)}"


def _other_data(record: RunRecord, data: PreparedData) -> str | None:
    """Name what has changed among the pictures."""
    if data.training_order() == record.order:
        return None
    changed = []
    if data.class_names != record.class_names:
        changed.append(f"classes were {list(record.class_names)} and are {list(data.class_names)}")
    counts = data.counts()
    for side, before in record.class_counts.items():
        changed += [
            f"{side}: {difference}" for difference in differences(before, counts.get(side, {}))
        ]
    if not changed and data.pictures.fingerprint == record.fingerprint:
        changed.append("the same pictures have other names, and so another order")
    if not changed:
        changed.append("as many pictures in every class, but other ones or with other labels")
    return (
        f"{record.config.dataset} is not what the run began with: {'; '.join(changed)}; the best "
        "validation loss so far is of the pictures before"
    )
