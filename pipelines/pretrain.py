"""Train a backbone from random weights and write it in the form in which it ships.

What `tl_small` was trained by, and what it reached, is in the provenance file beside its weights. A
killed run goes on where it stood when the same command is typed again.
"""

import dataclasses
import datetime
import importlib.metadata
import json
import logging
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pipelines.orderly_stop import orderly_stop
from pipelines.pretrain_config import PretrainConfig
from tl.augment.pca_jitter import ColourPca, fit_colour_pca
from tl.augment.recipes import Augmentation
from tl.config import DataConfig
from tl.data.batches import decoded_pictures, evaluation_batches, training_batches
from tl.data.example import Dataset
from tl.data.inspect import cache_folder
from tl.data.prepare import PreparedData, prepare_data, read_pictures
from tl.download import file_digest
from tl.errors import ConfigError, DatasetError, Interrupted, TrainingError
from tl.strategy import Phase
from tl.training.checkpoints import Checkpoint, read_checkpoint
from tl.training.fit import PhaseState, compile_classifier, run_phase
from tl.training.optimizer import averaged_weights, build_optimizer
from tl.training.progress import Listener
from tl.training.standing import CheckpointWriter, Standing, restore_variables, standing_of
from tl.training.updates import Updater
from tl.training.variables import restore_training_arrays, training_arrays
from tl.words import differences
from tl.written_aside import written_aside
from tl.zoo.backbones import find_backbone
from tl.zoo.build import build_backbone
from tl.zoo.classic.googlenet import SMALLEST_WITH_AUXILIARY, with_auxiliary
from tl.zoo.load import save_backbone_npz

_log = logging.getLogger(__name__)
GROWTH_STEPS = 3
CHECKPOINT_SECONDS = 60.0
ONE_CLASS = DataConfig(problem="single_label")


@dataclass(frozen=True, slots=True)
class Pretrained:
    """What a pretraining gave.

    Attributes:
        weights: file of the backbone's weights.
        provenance: file of where they come from.
        accuracy: share of the held-out pictures whose first answer is right.
        top_5: of whose first five one is.
    """

    weights: Path
    provenance: Path
    accuracy: float
    top_5: float


def pretrain(config: PretrainConfig, listener: Listener, command: str) -> Pretrained:
    """Train, write the weights and their provenance.

    Args:
        config: the knobs.
        listener: told of progress.
        command: what was typed, for the provenance.

    Raises:
        ConfigError: fewer pictures than a batch, layers to keep that are not trained, folders that
            cannot be written.
        DatasetError: the pictures cannot be used.
        TrainingError: the checkpoint is another training's, or the loss is no number any more.
        Interrupted: Ctrl-C or SIGTERM; where it stood is in the checkpoint.
    """
    began = time.monotonic()
    config.check_folders()
    kept = _network_to_keep(config)
    data = _read(config)
    training, held_out = data.side("train"), data.side("val", "test")
    known = _checkpoint(config, data)

    keras.utils.set_random_seed(config.seed)
    model = _learn(config, data, known, held_out, listener)
    size = (config.image_size, config.image_size)
    with averaged_weights(model):
        scores = keras.Model(model.input, model.get_layer("logits").output)
        loss, accuracy, top_5 = _measure(scores, evaluation_batches(held_out, size, batch_size=256))
        shipped = keras.Model(model.input, model.get_layer("features").output)
        if kept is not None:
            for layer in kept.layers:
                layer.set_weights(shipped.get_layer(layer.name).get_weights() if layer.weights
                                  else [])  # fmt: skip
            shipped = kept
        try:
            save_backbone_npz(shipped, config.output)
        except OSError as error:
            raise _not_written(config, config.output, error) from error
    facts = {
        "command": command,
        "config": config.facts(),
        "dataset": data.pictures.dataset.name,
        "data_fingerprint": data.pictures.fingerprint,
        "data_licence": config.licence,
        "training_pictures": len(training),
        "held_out_pictures": len(held_out),
        "held_out_accuracy": round(accuracy, 4),
        "held_out_top_5": round(top_5, 4),
        "held_out_loss": round(loss, 4),
        "auxiliary_classifiers": uses_auxiliary(config),
        "parameters": shipped.count_params(),
        "sha256": file_digest(config.output, "sha256"),
        "seconds_of_last_start": round(time.monotonic() - began),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "versions": {
            "python": platform.python_version(),
            **{
                package: importlib.metadata.version(package)
                for package in ("tensorflow", "keras", "grain", "albumentations", "numpy")
            },
        },
    }
    provenance = config.output.with_suffix(".json")
    try:
        with written_aside(provenance) as aside:
            aside.write_text(json.dumps(facts, indent=2) + "\n")
    except OSError as error:
        raise _not_written(config, provenance, error) from error
    return Pretrained(config.output, provenance, accuracy, top_5)


def _not_written(config: PretrainConfig, path: Path, error: OSError) -> TrainingError:
    return TrainingError(
        f"{path} cannot be written: {error.strerror or error}. What was trained is in "
        f"{config.checkpoint}: once there is room, type the same command again"
    )


def _network_to_keep(config: PretrainConfig) -> keras.Model | None:
    """Build the network whose layers are written, if it is another than the one trained.

    Raises:
        ConfigError: it has a layer that the one trained has not.
    """
    if config.keep is None:
        return None
    size = (config.image_size, config.image_size)
    trained = build_backbone(find_backbone(config.backbone), size)
    kept = build_backbone(find_backbone(config.keep), size)
    keras.backend.clear_session(free_memory=False)  # numbered layers begin at their first number
    shapes = {one.name: [weight.shape for weight in one.weights] for one in trained.layers}
    for layer in kept.layers:
        if layer.weights and shapes.get(layer.name) != [one.shape for one in layer.weights]:
            raise ConfigError(
                f"--keep {config.keep}: {config.backbone} has no layer like its '{layer.name}'. "
                "Name a network that is the first part of the one that is trained"
            )
    return kept


def _read(config: PretrainConfig) -> PreparedData:
    """Open the pictures; what has no val/ or test/ folder holds 10 % out."""
    pictures = read_pictures(config.dataset, ONE_CLASS, cache=cache_folder())
    given = {example.side for example in pictures.examples}
    share = 0.0 if given & {"test", "val"} else 0.1
    held_out = dataclasses.replace(ONE_CLASS, val_fraction=share, test_fraction=0.0)
    data = prepare_data(config.dataset, held_out, seed=config.seed, cache=cache_folder())
    count = len(data.side("train"))
    if count < config.batch_size:
        raise ConfigError(
            f"--batch-size {config.batch_size} is more than the {count} training pictures; give "
            f"{count} or less"
        )
    if not len(data.side("val", "test")):
        raise DatasetError(f"{config.dataset} has no picture left to measure with; add pictures")
    return data


def _began_with(config: PretrainConfig, data: PreparedData) -> dict[str, Any]:
    """Return what a checkpoint can be gone on with only."""
    return {**config.of_training(), "pictures": data.pictures.fingerprint}


def _checkpoint(config: PretrainConfig, data: PreparedData) -> Checkpoint | None:
    """Return where the same training stood, if it had begun.

    Raises:
        TrainingError: it is the checkpoint of another training.
    """
    known = read_checkpoint(config.checkpoint)
    if known is None:
        if config.checkpoint.is_dir() and any(config.checkpoint.iterdir()):
            _log.warning("%s has no checkpoint that can be read: training begins anew",
                         config.checkpoint)  # fmt: skip
        return None
    began_with = known.facts.get("began_with")
    if not isinstance(began_with, dict):
        changed = "it is none of `tl pretrain`"
    else:
        changed = "; ".join(differences(began_with, _began_with(config, data)))
    if changed:
        raise TrainingError(
            f"the training in --checkpoint {config.checkpoint} is another: {changed}. Put that "
            "back as it was, or give a new folder"
        )
    return known


def sides_of(config: PretrainConfig) -> list[tuple[int, int]]:
    """Return (side in pixels, epoch that it lasts until) of each step of training, in order."""
    if config.grow_from in (None, config.image_size):
        return [(config.image_size, config.epochs)]
    sides = np.linspace(config.grow_from, config.image_size, GROWTH_STEPS).round().astype(int)
    ends = [config.epochs * (step + 1) // GROWTH_STEPS for step in range(GROWTH_STEPS)]
    return [(side, end) for side, end in zip(sides.tolist(), ends, strict=True) if end]


def _learn(
    config: PretrainConfig,
    data: PreparedData,
    known: Checkpoint | None,
    held_out: Dataset,
    listener: Listener,
) -> keras.Model:
    """Train from random weights, or from where a killed run stood; return backbone and top."""
    training = data.side("train")
    steps = len(training) // config.batch_size
    phase = Phase(name="pretrain", n_stages=None, epochs=config.epochs,
                  learning_rate=config.learning_rate)  # fmt: skip
    standing = Standing(phases=[phase], state=PhaseState(best_weights=[]))
    if known is not None:
        standing = standing_of(known)
    writer = CheckpointWriter(
        config.checkpoint, CHECKPOINT_SECONDS, {"began_with": _began_with(config, data)}
    )
    colours = fit_colour_pca(decoded_pictures(training))
    model: keras.Model | None = None
    for side, until in sides_of(config):
        if standing.state.step >= until * steps and until < config.epochs:
            continue
        before, model = model, _network(config, side, len(training.class_names))
        update = Updater(model, _compiling(config, model, steps), standing.micro_batches)
        if before is not None:  # convolutions fit every size
            restore_training_arrays(model, training_arrays(before))
        elif known is not None:
            restore_variables(model, known)
        _train_at(config, side, until, model, update, training, held_out, colours, standing,
                  writer, listener)  # fmt: skip
    assert model is not None
    writer.keep(standing, model, now=True)
    return model


def uses_auxiliary(config: PretrainConfig) -> bool:
    """Whether GoogLeNet's auxiliary classifiers, which fit one size only, help to train."""
    return _is_googlenet(config) and leaves_auxiliary_out(config) is None


def leaves_auxiliary_out(config: PretrainConfig) -> str | None:
    """Say why GoogLeNet is trained without its auxiliary classifiers; None where nothing is."""
    if not _is_googlenet(config):
        return None
    if config.image_size < SMALLEST_WITH_AUXILIARY:
        need = f"they need --image-size {SMALLEST_WITH_AUXILIARY} or more"
    elif config.grow_from not in (None, config.image_size):
        need = "they fit one size of views: leave --grow-from out to have them"
    else:
        return None
    return f"googlenet is trained without its auxiliary classifiers: {need}"


def _is_googlenet(config: PretrainConfig) -> bool:
    return find_backbone(config.backbone).classic == "googlenet"


def _network(config: PretrainConfig, side: int, n_classes: int) -> keras.Model:
    row = find_backbone(config.backbone)
    backbone = build_backbone(row, (side, side))
    # No dropout, which makes worse features to transfer (Kornblith et al. 2019).
    top = keras.layers.Dense(n_classes, dtype="float32", name="logits")
    model = keras.Model(backbone.input, top(backbone.output))
    if not uses_auxiliary(config):
        return model
    assert row.style is not None
    return with_auxiliary(model, n_classes, row.style)


def _compiling(config: PretrainConfig, model: keras.Model, steps: int) -> Callable[[int], None]:
    def compile_for(micro_batches: int) -> None:
        optimizer = build_optimizer(
            learning_rate=config.learning_rate,
            total_steps=steps * config.epochs,
            warmup_steps=steps,
            weight_decay=config.weight_decay,
            clip_norm=5.0,
            ema_momentum=config.ema,
            micro_batches=micro_batches,
        )
        compile_classifier(model, optimizer, config.label_smoothing)

    return compile_for


def _train_at(
    config: PretrainConfig,
    side: int,
    until: int,
    model: keras.Model,
    update: Updater,
    training: Dataset,
    held_out: Dataset,
    colours: ColourPca,
    standing: Standing,
    writer: CheckpointWriter,
    listener: Listener,
) -> None:
    """Go on at one size of the views until an epoch has ended."""
    augment = Augmentation(config.recipe, (side, side), colours)
    with orderly_stop() as is_asked:

        def keep() -> None:
            standing.micro_batches = update.micro_batches
            written = writer.keep(standing, model, now=is_asked())
            if is_asked():
                raise Interrupted(
                    f"stopped after {standing.state.step} updates"
                    + (f"; they are in {config.checkpoint}: type the same command again to go on"
                       if written else "")
                )  # fmt: skip

        run_phase(
            model,
            update,
            training_batches(
                training,
                augment,
                batch_size=config.batch_size,
                seed=config.seed,
                first_step=standing.state.step,
            ),
            evaluation_batches(held_out, (side, side), batch_size=256),
            state=standing.state,
            phase=standing.phases[0].name,
            epochs=config.epochs,
            until=until,
            steps_per_epoch=len(training) // config.batch_size,
            batch_size=config.batch_size,
            listener=listener,
            restore_best=False,  # the cosine ends at its best; a peak before it is noise
            on_update=keep,
        )


def _measure(model: keras.Model, batches: Any) -> tuple[float, float, float]:
    """Return (loss, top-1 accuracy, top-5 accuracy) over one pass."""
    logits, labels = zip(
        *((model.predict_on_batch(images), labels) for images, labels, _ in batches), strict=True
    )
    scores, truth = np.concatenate(logits), np.concatenate(labels)
    log_sum = np.log(np.exp(scores - scores.max(1, keepdims=True)).sum(1)) + scores.max(1)
    losses = log_sum - scores[np.arange(len(truth)), truth]
    higher = (scores > scores[np.arange(len(truth)), truth][:, None]).sum(axis=1)
    return float(losses.mean()), float((higher < 1).mean()), float((higher < 5).mean())
