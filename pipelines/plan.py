"""Everything that can be decided and refused before TensorFlow is imported.

Receives a config, gives a `Plan`; `tl finetune --dry-run` stops here.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tl.config import AugmentConfig, RunConfig, TrainingConfig
from tl.data.inspect import cache_folder
from tl.data.prepare import PreparedData, prepare_data
from tl.errors import ConfigError
from tl.export.versions import check_writable
from tl.model_name import model_name_of
from tl.problem import refuse_without_meaning
from tl.words import counted
from tl.zoo.backbones import Backbone, find_backbone
from tl.zoo.weights import (
    Weights,
    backbones_at_hand,
    choose_backbone,
    weights_at_hand,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A run that can begin.

    Attributes:
        config: as given.
        name: of the model.
        data: pictures with their sides.
        backbone: row of the zoo.
        weights: resolved; in a dry run without a path where they would be downloaded, and None
            where what the run takes depends on a download; None before a choice.
        backbone_reason: why the program chose it; None where the user named it.
        candidates: backbones to choose among when the run begins (`pipelines.choose`), which needs
            TensorFlow; until then ``backbone`` and ``image_size`` stand in, without weights. Empty
            where the choice is made.
        image_size: (height, width) in pixels.
        recipe: augmentation, or ``custom`` for the transforms of the config.
        model_folder: receives the version.
    """

    config: RunConfig
    name: str
    data: PreparedData
    backbone: Backbone
    weights: Weights | None
    backbone_reason: str | None
    image_size: tuple[int, int]
    recipe: str
    model_folder: Path
    candidates: tuple[Backbone, ...] = ()


def make_plan(
    config: RunConfig,
    *,
    dry_run: bool = False,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Plan:
    """Read the pictures and settle every ``auto``.

    Args:
        config: the knobs.
        dry_run: fetch no weights, but ask whether they could be; name the backbone at hand.
        on_progress: told how many pictures have been inspected.

    Raises:
        TlError: whatever of the request cannot work, before anything slow.
    """
    size = config.model.image_size
    named_size = (size, size) if size else None
    if idle := config.idle_settings():
        _log.warning("%s: no effect with strategy %s", ", ".join(idle), config.training.strategy)
    if config.model.backbone != "auto":
        find_backbone(config.model.backbone)
    data = plan_data(config, on_progress)
    _refuse_large_batches(config, data)
    name = config.name or model_name_of(data.pictures.dataset.name)
    model_folder = Path(config.output).expanduser() / name
    _refuse_output_among_pictures(config, model_folder)
    check_writable(model_folder)
    candidates = _candidates(config, named_size)
    backbone, weights, reason = (
        _stand_in(candidates) if candidates else _backbone(config, named_size, dry_run)
    )
    backbone.check_size(named_size or backbone.image_size)
    return Plan(
        config=config,
        name=name,
        data=data,
        backbone=backbone,
        weights=weights,
        backbone_reason=reason,
        image_size=named_size or backbone.image_size,
        recipe=choose_recipe(config.augment, data.pictures.dataset.name),
        model_folder=model_folder,
        candidates=candidates,
    )


def plan_data(
    config: RunConfig, on_progress: Callable[[int], None] = lambda done: None
) -> PreparedData:
    """Read and split the pictures, and refuse settings that mean nothing for their problem.

    Raises:
        TlError: no such dataset, or one that nothing can be learned from.
    """
    if config.data.problem != "auto":
        refuse_without_meaning(config.data.problem, config.flat())
    data = prepare_data(
        config.dataset,
        config.data,
        seed=config.seed,
        cache=cache_folder(),
        on_progress=on_progress,
    )
    refuse_without_meaning(data.problem, config.flat())
    return data


def absolute_config(config: RunConfig) -> RunConfig:
    """Return a config that means the same in any folder, as a run keeps it."""
    spec, output = Path(config.dataset).expanduser(), Path(config.output).expanduser()
    data = config.data
    if data.root:
        data = replace(data, root=str(Path(data.root).expanduser().resolve()))
    if data.exclude:
        data = replace(data, exclude=str(Path(data.exclude).expanduser().resolve()))
    return replace(
        config,
        dataset=str(spec.resolve()) if spec.exists() else config.dataset,
        output=str(output.resolve()),
        data=data,
    )


def choose_recipe(augment: AugmentConfig, dataset_name: str) -> str:
    """Settle ``auto``, and say ``custom`` where the config lists transforms."""
    if augment.transforms:
        return "custom"
    if augment.recipe != "auto":
        return augment.recipe
    return "digits" if dataset_name == "digits" else "default"


def _refuse_output_among_pictures(config: RunConfig, model_folder: Path) -> None:
    """Keep a model out of its dataset, where the next run would take it for a class."""
    pictures = Path(config.dataset).expanduser()
    if pictures.is_dir() and model_folder.resolve().is_relative_to(pictures.resolve()):
        raise ConfigError(
            f"--output {config.output} would put the model among the pictures, at {model_folder}; "
            "choose a folder outside of the dataset"
        )


def _refuse_large_batches(config: RunConfig, data: PreparedData) -> None:
    """Refuse an update of more pictures than there are; the default gives way by itself."""
    size, default = config.training.batch_size, TrainingConfig().batch_size
    count = len(data.side("train"))
    if isinstance(size, int) and size > count and size != default:
        raise ConfigError(
            f"--batch-size {size:,} is more than the {counted(count, 'training picture')}; give at "
            f"most {count:,}, or auto"
        )


def _candidates(config: RunConfig, size: tuple[int, int] | None) -> tuple[Backbone, ...]:
    """Return what there is to choose among: nothing where the user named one, or has only one."""
    if config.model.backbone != "auto" or config.model.weights != "auto":
        return ()
    found = backbones_at_hand(image_size=size)
    return found if len(found) > 1 else ()


def _stand_in(candidates: tuple[Backbone, ...]) -> tuple[Backbone, Weights | None, str]:
    """Return what is taken where the choice cannot be made in the time it may take."""
    preferred, shipped = find_backbone("mobilenet_v2"), find_backbone("tl_small")

    def trust(row: Backbone) -> tuple[int, int]:
        # What was pretrained on ImageNet knows more than what is shipped here, whatever it is; of
        # what a user trained that is not known.
        rank = 2 if row.weights_files is None else int(row == shipped)
        return rank, row.parameters

    taken = preferred if preferred in candidates else min(candidates, key=trust)
    names = ", ".join(one.name for one in candidates)
    reason = f"auto: chosen as by `tl choose` when it runs, among {names}"
    return taken, None, reason


def _backbone(
    config: RunConfig, size: tuple[int, int] | None, dry_run: bool
) -> tuple[Backbone, Weights | None, str | None]:
    name, wanted = config.model.backbone, config.model.weights
    if not dry_run or name != "auto" or wanted != "auto":
        choice = choose_backbone(name, wanted, image_size=size, fetch=not dry_run)
        weights = replace(choice.weights, partial=config.model.partial_weights)
        return choice.backbone, weights, choice.reason
    # What is taken then may depend on a download.
    preferred = find_backbone("mobilenet_v2")
    if weights_at_hand(preferred, image_size=size):
        return preferred, None, "mobilenet_v2, whose ImageNet weights are here"
    reason = "tl_small, or mobilenet_v2 if its ImageNet weights can be fetched when it runs"
    return find_backbone("tl_small"), None, reason
