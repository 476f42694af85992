"""Every knob of a run with its unit and default; `tl.config_reading` makes one of what is typed.

No TensorFlow here, so that a bad value is refused at once.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tl.errors import ConfigError
from tl.model_name import check_model_name
from tl.transforms import TransformSettings, check_transforms

LARGEST_SIDE = 2048
"""Pixels of the views that a network is trained on."""

Strategy = Literal["auto", "features", "stages", "last", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """How the pictures are read and divided.

    Attributes:
        problem: ``single_label``, ``multi_label`` or ``regression`` (labels are read as numbers);
            ``auto`` is ``multi_label`` where pictures have several labels, else ``single_label``.
        val_fraction: share of the pictures that choose the best epoch, 0 to below 1.
        test_fraction: share that the reported accuracy is measured on, 0 to below 1.
        max_unreadable_fraction: stop if a larger share of the files cannot be read.
        max_megapixels: a picture with more is refused before it is decoded.
        split_file: ``split.json`` of an earlier run; pictures in it keep their side.
        exclude: CSV that names pictures to leave out, as ``suspects.csv`` of a run does.
        folds: with 2 or more, validate on one of so many parts in place of ``val_fraction``.
        fold: which of them, from 0.
        shots: different training pictures a class to learn from, or None for all; where pictures
            have several labels, no class has fewer.
        dedupe: search for near-duplicates and keep them on one side of the split.
        identity: what tells pictures apart: ``content`` reads every file first, ``key`` takes its
            name for it (a renamed picture is a new one, a damaged one is found while training);
            ``auto`` is ``content`` up to 100,000 pictures.
        cache: where training pictures are kept decoded from one epoch to the next: ``none``,
            ``ram`` or ``disk``, refused where they do not fit; ``auto`` is in memory where they
            take at most 512 MiB of it.
        keep_features: keep what the frozen backbone says of each view of a picture, for later runs
            with the same backbone and pictures.
        feature_precision: of them; ``float16`` takes half the disk.
        workers: processes that decode and augment beside this one, for machines of many cores.
        path_column: of a table, where it has no usual name.
        label_column: likewise.
        root: folder that a table's paths start from and stay in; None is the table's own.
    """

    problem: Literal["auto", "single_label", "multi_label", "regression"] = "auto"
    val_fraction: float = 0.15
    test_fraction: float = 0.15
    max_unreadable_fraction: float = 0.1
    max_megapixels: float = 100.0
    split_file: str | None = None
    exclude: str | None = None
    folds: int = 0
    fold: int = 0
    shots: int | None = None
    dedupe: bool = False
    identity: Literal["auto", "content", "key"] = "auto"
    cache: Literal["auto", "none", "ram", "disk"] = "auto"
    keep_features: bool = True
    feature_precision: Literal["float32", "float16"] = "float32"
    workers: int = 0
    path_column: str | None = None
    label_column: str | None = None
    root: str | None = None

    def __post_init__(self) -> None:
        for name in ("val_fraction", "test_fraction"):
            _require(0 <= getattr(self, name) < 1, f"data.{name}", getattr(self, name), "0 to 1")
        total = self.val_fraction + self.test_fraction
        _require(total < 1, "data.val_fraction + data.test_fraction", total, "a sum below 1")
        share = self.max_unreadable_fraction
        _require(0 <= share <= 1, "data.max_unreadable_fraction", share, "0 to 1")
        _require(self.folds == 0 or self.folds >= 2, "data.folds", self.folds, "0, or 2 or more")
        fold = f"0 to below data.folds ({self.folds})" if self.folds else "0 without data.folds"
        _require(0 <= self.fold < max(1, self.folds), "data.fold", self.fold, fold)
        _require(0 <= self.workers <= 256, "data.workers", self.workers, "0 to 256")
        both = self.cache == "ram" and self.workers > 0
        _require(not both, "data.workers", self.workers, "0 with data.cache = ram: processes share "
                 "no memory, use disk")  # fmt: skip
        _require(self.shots is None or self.shots >= 1, "data.shots", self.shots, "1 or more")
        # What OpenCV decodes at all ends there.
        size = self.max_megapixels
        _require(0 < size <= 1073, "data.max_megapixels", size, "above 0, at most 1073")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Which network.

    Attributes:
        backbone: a name of ``tl zoo``, or ``auto``.
        weights: ``auto``, ``imagenet``, ``tl``, ``none``, or a file.
        partial_weights: begin with those layers of a file of weights that fit, the others random.
        image_size: side in pixels, or None for the backbone's own.
        dropout: share of features dropped before the head while it is fine-tuned.
        hidden: units of a hidden layer in the head; 0 for a linear one, which is enough on most
            features.
    """

    backbone: str = "auto"
    weights: str = "auto"
    partial_weights: bool = False
    image_size: int | None = None
    dropout: float = 0.2
    hidden: int = 0

    def __post_init__(self) -> None:
        size = self.image_size
        _require(
            size is None or 16 <= size <= LARGEST_SIDE,
            "model.image_size", size, f"16 to {LARGEST_SIDE} pixels",
        )  # fmt: skip
        _require(0 <= self.dropout < 1, "model.dropout", self.dropout, "0 to below 1")
        _require(0 <= self.hidden <= 8192, "model.hidden", self.hidden, "0 to 8192")


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentConfig:
    """How training pictures are varied.

    Attributes:
        recipe: ``auto`` (``digits`` for the built-in digits, else ``default``), or a name of
            `tl.augment.recipes`.
        transforms: in place of a recipe, its own transforms in their order, as
            ``{name = "rotate", degrees = 3.0, p = 0.5}``; names and parameters are those of
            `tl.transforms`.
        feature_views: augmented views a picture whose frozen features the head learns from, beside
            the plain one. Each costs one pass over the training pictures.
        mixup: parameter of the Beta distribution that shares of two blended pictures are drawn
            from while fine-tuning, 0 for none; 0.2 is usual.
        cutmix: the same for a rectangle of another picture pasted in; 1.0 is usual. With both,
            each batch takes one of the two.
    """

    recipe: Literal[
        "auto", "none", "light", "default", "alexnet", "resnet", "strong", "randaugment", "digits"
    ] = "auto"
    transforms: tuple[TransformSettings, ...] = ()
    feature_views: int = 4
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        _require(self.feature_views >= 0, "augment.feature_views", self.feature_views, "0 or more")
        for name in ("mixup", "cutmix"):
            value = getattr(self, name)
            _require(0 <= value <= 100, f"augment.{name}", value, "0 to 100 (0: none)")
        complete = check_transforms(self.transforms, "augment.transforms")
        object.__setattr__(self, "transforms", complete)  # the record of a run has every default
        if self.transforms and self.recipe != "auto":
            raise ConfigError(
                f"augment.recipe = {self.recipe!r} and augment.transforms exclude each other; "
                "leave one out"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """How the network learns.

    Attributes:
        strategy: ``features`` solves the head on the frozen backbone; ``stages`` on those stages
            of it that tell the classes apart best; ``last`` fine-tunes the backbone's last stages
            after that; ``all`` fine-tunes everything after that; ``auto`` chooses among them by
            what probes of every stage know, the pictures a class and the time.
        time_budget: seconds for the whole command, export included; None for as long as it takes.
        last_stages: how many stages ``last`` fine-tunes; one is the layers at one resolution.
        epochs: passes over the training pictures of the fine-tuning phase, an upper bound.
        batch_size: pictures an update; ``auto`` times updates of 16, 32, 64, ... and takes the size
            that gives the most pictures a second, with 16 updates an epoch where there are as many.
            32 by default: larger ones gain little on a CPU, and each takes another learning rate.
        learning_rate: peak of the fine-tuning phase.
        layer_decay: factor of the rate from each stage of the backbone to the one before.
        penalty: of the head's kernel, half of it times the squared weights is added to the mean
            loss; None tries a path of them and keeps the best on validation.
        warmup_fraction: share of a phase's updates in which the rate grows from zero.
        weight_decay: AdamW's while fine-tuning, of kernels only.
        label_smoothing: share of a label's mass spread over all classes.
        ema: momentum, for each update, of a moving average of the weights that is measured and
            kept in their place; 0 for none.
        batch_norm: while fine-tuning, keep BatchNorm ``frozen`` as pretrained, or ``adapt`` it to
            the pictures; a small batch is too few for that.
        balance: how rare classes are made to count as much as common ones: ``none``, by
            ``weights`` in the loss, or by ``sampling`` their pictures more often.
        patience: epochs without a better validation loss before a phase stops. Validation
            wavers while the rate is high, so stopping soon keeps the cosine from paying.
        mixed_precision: compute in 16 bits; ``auto`` does on a GPU, and on a CPU with instructions
            for bfloat16 where a trial says that this network is 1.2 times as fast with it.
        xla: compile updates with XLA; ``auto`` times both ways on a GPU and leaves it off on a CPU,
            where it was 8 to 10 times slower. JAX computes through nothing else.
        replicas: GPUs of this machine that each compute a part of every batch, 1 or more; ``auto``
            takes all of them where updates with one and with all agree.
        deterministic: refuse computations whose last bits depend on chance. Runs on one CPU are
            the same to the bit without it; a GPU becomes slower and loses XLA.
        checkpoint_seconds: between two checkpoints that a killed run goes on from; 0 writes one
            after every update.
    """

    strategy: Strategy = "auto"
    time_budget: float | None = None
    last_stages: int = 2
    epochs: int = 15
    batch_size: int | Literal["auto"] = 32
    learning_rate: float = 1e-4
    layer_decay: float = 1.0
    penalty: float | None = None
    warmup_fraction: float = 0.1
    weight_decay: float = 0.01
    label_smoothing: float = 0.0
    ema: float = 0.0
    batch_norm: Literal["frozen", "adapt"] = "frozen"
    balance: Literal["none", "weights", "sampling"] = "none"
    patience: int = 10
    mixed_precision: Literal["auto", "on", "off"] = "auto"
    xla: Literal["auto", "on", "off"] = "auto"
    replicas: int | Literal["auto"] = "auto"
    deterministic: bool = False
    checkpoint_seconds: float = 60.0

    def __post_init__(self) -> None:
        for name in ("epochs", "patience", "last_stages"):
            _require(getattr(self, name) >= 1, f"training.{name}", getattr(self, name), "1 or more")
        for name in ("batch_size", "replicas"):
            value = getattr(self, name)
            _require(value == "auto" or value >= 1, f"training.{name}", value, "1 or more, or auto")
        budget = self.time_budget
        sound = budget is None or 0 < budget < math.inf
        _require(sound, "training.time_budget", budget, "seconds above 0, or leave it out")
        rate, penalty = self.learning_rate, self.penalty
        _require(0 < rate <= 10, "training.learning_rate", rate, "above 0, at most 10")
        sound = penalty is None or 0 < penalty < math.inf
        _require(sound, "training.penalty", penalty, "above 0, or leave it out")
        for name in ("warmup_fraction", "label_smoothing", "ema"):
            value = getattr(self, name)
            _require(0 <= value < 1, f"training.{name}", value, "0 to below 1")
        factor = self.layer_decay
        _require(0 < factor <= 1, "training.layer_decay", factor, "above 0, at most 1")
        pause = self.checkpoint_seconds
        _require(0 <= pause < math.inf, "training.checkpoint_seconds", pause, "0 or more")
        decay = self.weight_decay
        _require(0 <= decay < math.inf, "training.weight_decay", decay, "0 or more")


_OF_UPDATES = (
    "epochs",
    "batch_size",
    "learning_rate",
    "last_stages",
    "warmup_fraction",
    "weight_decay",
    "patience",
)
"""Settings of fine-tuning alone; a solved head has no updates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationConfig:
    """How the exported model is looked at.

    Attributes:
        error_rate: share of wrong answers that is accepted among those the model does not abstain
            from; the threshold of the served output ``abstain`` is chosen for it on validation
            pictures, of which a hundred choose it roughly.
        outside: datasets or folders of pictures that belong to no class, to see whether the model
            notices; none takes handwritten digits and shuffled tiles of its own pictures.
        robustness: test pictures that are blurred, darkened, turned and so on, each in fifteen
            ways; 0 for none.
        suspects: look for labels that are probably wrong.
        parity: test pictures that Keras, the SavedModel and a real server have to agree on, or
            nothing is exported; 0 for none.
    """

    error_rate: float = 0.05
    outside: tuple[str, ...] = ()
    robustness: int = 100
    suspects: bool = True
    parity: int = 64

    def __post_init__(self) -> None:
        rate = self.error_rate
        _require(0 < rate < 1, "evaluation.error_rate", rate, "above 0, below 1")
        for name in ("robustness", "parity"):
            value = getattr(self, name)
            _require(0 <= value <= 100_000, f"evaluation.{name}", value, "0 to 100000")
        _require(all(self.outside), "evaluation.outside", self.outside, "names of datasets")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Everything that decides a fine-tuning run.

    Attributes:
        dataset: folder of labelled pictures, or a built-in name.
        name: of the model; None takes the dataset's.
        output: folder that receives ``<name>/<version>/``.
        experiment: MLflow experiment; None takes the model's name.
        seed: of split, weights, order and augmentation.
    """

    dataset: str
    name: str | None = None
    output: str = "models"
    experiment: str | None = None
    seed: int = 0
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def __post_init__(self) -> None:
        _require(bool(self.dataset.strip()), "dataset", self.dataset, "a folder or a built-in name")
        if self.name is not None:
            check_model_name(self.name)
        for key in ("output", "experiment"):
            _require(getattr(self, key) != "", key, getattr(self, key), "a name")
        _require(0 <= self.seed < 2**31, "seed", self.seed, f"0 to {2**31 - 1}")
        self._refuse_idle_settings()

    def _refuse_idle_settings(self) -> None:
        """Refuse what only fine-tuning does where there is none: it would be asked for in vain."""
        strategy = self.training.strategy
        if strategy not in ("features", "stages"):
            return
        unused: dict[str, tuple[Any, Any]] = {
            "augment.mixup": (self.augment.mixup, 0.0),
            "augment.cutmix": (self.augment.cutmix, 0.0),
            "training.ema": (self.training.ema, 0.0),
            "training.layer_decay": (self.training.layer_decay, 1.0),
            "training.batch_norm": (self.training.batch_norm, "frozen"),
        }
        for key, (value, plain) in unused.items():
            if value != plain:
                raise ConfigError(
                    f"training.strategy = {strategy!r} solves the head and fine-tunes nothing, so "
                    f"{key} = {value!r} cannot apply; leave it out, or take strategy last, all or "
                    "auto"
                )

    def idle_settings(self) -> tuple[str, ...]:
        """Return ``key = value`` of what has no effect here, though it differs from its default.

        Unlike those that are refused they harm nobody: a file of settings may serve several
        strategies.
        """
        strategy, plain = self.training.strategy, TrainingConfig()
        idle = {"features": _OF_UPDATES, "stages": _OF_UPDATES, "all": ("last_stages",)}
        return tuple(
            f"training.{name} = {getattr(self.training, name)!r}"
            for name in idle.get(strategy, ())
            if getattr(self.training, name) != getattr(plain, name)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return nested plain values, for JSON."""
        tree = dataclasses.asdict(self)
        tree["augment"]["transforms"] = list(self.augment.transforms)
        tree["evaluation"]["outside"] = list(self.evaluation.outside)
        return tree

    def flat(self) -> dict[str, Any]:
        """Return ``{"training.epochs": 15, ...}``, for parameters of an experiment."""
        return dict(flatten(self.to_dict()))


def flatten(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return dotted keys and values of a tree of settings."""
    flat: list[tuple[str, Any]] = []
    for key, value in tree.items():
        flat += (
            flatten(value, f"{prefix}{key}.")
            if isinstance(value, dict)
            else [(prefix + key, value)]
        )
    return flat


def _require(holds: bool, key: str, value: Any, valid: str) -> None:
    if not holds:
        raise ConfigError(f"{key} = {value!r}; valid: {valid}")
