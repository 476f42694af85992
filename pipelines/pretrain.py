"""Train a backbone from random weights and write it in the form in which it ships.

    tl pretrain --dataset cifar10_jpeg --output tl/zoo/pretrained/tl_small.npz --checkpoint DIR

on CIFAR-10 gives the shipped `tl_small`; what it reached is in the provenance file beside it.
A killed run goes on where it stood when the same command is typed again.
"""

import dataclasses
import datetime
import importlib.metadata
import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tl.augment.pca_jitter import ColourPca, fit_colour_pca
from tl.augment.recipes import Augmentation
from tl.config import DataConfig
from tl.data.batches import decoded_pictures, evaluation_batches, training_batches
from tl.data.example import Dataset
from tl.data.inspect import cache_folder
from tl.data.prepare import prepare_data, read_pictures
from tl.errors import ConfigError
from tl.strategy import Phase
from tl.training.checkpoints import read_checkpoint
from tl.training.fit import PhaseState, compile_classifier, run_phase
from tl.training.optimizer import averaged_weights, build_optimizer
from tl.training.progress import Listener
from tl.training.standing import CheckpointWriter, Standing, restore_variables, standing_of
from tl.training.updates import Updater
from tl.training.variables import restore_training_arrays, training_arrays
from tl.zoo.backbones import find_backbone
from tl.zoo.build import build_backbone
from tl.zoo.classic.googlenet import SMALLEST_WITH_AUXILIARY, with_auxiliary
from tl.zoo.load import load_backbone_weights, save_backbone_npz

GROWTH_STEPS = 3
ONE_CLASS = DataConfig(problem="single_label")


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainConfig:
    """Every knob of pretraining.

    Attributes:
        dataset: folder or built-in name; its val/ or test/ folder measures, else 10 % of it.
        output: the ``.npz`` file of float16 weights; provenance goes beside it as ``.json``.
        checkpoint: folder outside of the checkout that a killed run goes on from.
        backbone: name in the zoo.
        keep: another name of the zoo, to write only the layers that it has.
        image_size: side in pixels of the training views, at last.
        grow_from: side that training begins with, to grow to ``image_size`` in three steps (Howard
            2018, progressive resizing); None is ``image_size``.
        epochs: passes over the training pictures.
        batch_size: pictures an update.
        learning_rate: peak of the cosine schedule.
        weight_decay: of kernels only.
        recipe: augmentation.
        label_smoothing: share of each label's mass that is spread over all classes (Szegedy et al.
            2016); better pictures for the classes learned, worse features to transfer (Kornblith
            et al. 2021).
        ema: momentum of the moving average of the weights that is measured and written; 0 is none.
        seed: of weights, order and augmentation.
        licence: of the pictures, for the provenance.
    """

    dataset: str
    output: Path
    checkpoint: Path
    backbone: str = "tl_small"
    keep: str | None = None
    image_size: int = 64
    grow_from: int | None = None
    epochs: int = 30
    batch_size: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    recipe: str = "default"
    label_smoothing: float = 0.0
    ema: float = 0.0
    seed: int = 0
    licence: str = "not stated"

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise ConfigError("epochs and batch size must be 1 or more")
        if not 0 <= self.label_smoothing < 1 or not 0 <= self.ema < 1:
            raise ConfigError("label smoothing and the momentum of the average are 0 to below 1")
        if self.grow_from is not None and not 8 <= self.grow_from <= self.image_size:
            raise ConfigError(
                f"--grow-from {self.grow_from}: give a side of 8 to --image-size {self.image_size}"
            )
        if self.output.suffix != ".npz":
            raise ConfigError(f"--output {self.output}: give a name that ends with .npz")


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
    """
    began = time.monotonic()
    find_backbone(config.backbone)  # a wrong name ends it before pictures are read
    pictures = read_pictures(config.dataset, ONE_CLASS, cache=cache_folder())
    given = [example.side for example in pictures.examples]
    has_test = "test" in given or "val" in given
    held_out_share = dataclasses.replace(
        ONE_CLASS, val_fraction=0.0 if has_test else 0.1, test_fraction=0.0
    )
    data = prepare_data(config.dataset, held_out_share, seed=config.seed, cache=cache_folder())
    training = data.side("train")
    held_out = data.side("val", "test")

    keras.utils.set_random_seed(config.seed)
    model = _learn(config, training, held_out, listener)
    size = (config.image_size, config.image_size)
    with averaged_weights(model):
        scores = keras.Model(model.input, model.get_layer("logits").output)
        loss, accuracy, top_5 = _measure(scores, evaluation_batches(held_out, size, batch_size=256))
        shipped = keras.Model(model.input, model.get_layer("features").output)
        save_backbone_npz(shipped, config.output)
    if config.keep:
        shipped = build_backbone(find_backbone(config.keep), size)
        load_backbone_weights(shipped, config.output)  # layers that it lacks are passed over
        save_backbone_npz(shipped, config.output)
    provenance = config.output.with_suffix(".json")
    facts = {
        "command": command,
        "config": {key: str(value) for key, value in dataclasses.asdict(config).items()},
        "dataset": pictures.dataset.name,
        "data_fingerprint": pictures.fingerprint,
        "data_licence": config.licence,
        "training_pictures": len(training),
        "held_out_pictures": len(held_out),
        "held_out_accuracy": round(float(accuracy), 4),
        "held_out_top_5": round(float(top_5), 4),
        "held_out_loss": round(float(loss), 4),
        "parameters": shipped.count_params(),
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
    provenance.write_text(json.dumps(facts, indent=2) + "\n")
    return Pretrained(config.output, provenance, float(accuracy), float(top_5))


def sides_of(config: PretrainConfig) -> list[tuple[int, int]]:
    """Return (side in pixels, epoch that it lasts until) of each step of training, in order."""
    if config.grow_from in (None, config.image_size):
        return [(config.image_size, config.epochs)]
    sides = np.linspace(config.grow_from, config.image_size, GROWTH_STEPS).round().astype(int)
    ends = [config.epochs * (step + 1) // GROWTH_STEPS for step in range(GROWTH_STEPS)]
    return [(side, end) for side, end in zip(sides.tolist(), ends, strict=True) if end]


def _learn(
    config: PretrainConfig,
    training: Dataset,
    held_out: Dataset,
    listener: Listener,
) -> keras.Model:
    """Train from random weights, or from where a killed run stood; return backbone and top."""
    steps = len(training) // config.batch_size
    phase = Phase(name="pretrain", n_stages=None, epochs=config.epochs,
                  learning_rate=config.learning_rate)  # fmt: skip
    known = read_checkpoint(config.checkpoint)
    standing = Standing(phases=[phase], state=PhaseState(best_weights=[]))
    if known is not None:
        standing = standing_of(known)
    writer = CheckpointWriter(config.checkpoint, interval_s=60.0)
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
    writer.write(standing, model)
    return model


def uses_auxiliary(config: PretrainConfig) -> bool:
    """Whether GoogLeNet's auxiliary classifiers, which fit one size only, help to train."""
    return (
        find_backbone(config.backbone).classic == "googlenet"
        and config.image_size >= SMALLEST_WITH_AUXILIARY
        and config.grow_from in (None, config.image_size)
    )


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
        epochs=until,
        steps_per_epoch=len(training) // config.batch_size,
        batch_size=config.batch_size,
        listener=listener,
        restore_best=False,  # the cosine ends at its best; a peak before it is noise
        on_update=lambda: writer.write_if_due(standing, model),
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
