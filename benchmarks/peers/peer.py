"""What the peers share: their arguments, the pretrained network, and what they tell the benchmark.

Only what is not in the Keras guide is here; the guide's own steps are in the peers, to be read
side by side with it.
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One training.

    Attributes:
        split: folder with train/, val/ and test/, each with a sub-folder a class.
        weights: folder of weights files.
        backbone: a name of `load_backbone`.
        size: side of the pictures in pixels.
        seed: of the initial head, order and augmentation.
        head_epochs: with the frozen network.
        tuning_epochs: with all of it.
        began: `time.time()` just before this process was started.
        out: folder that receives events.jsonl and predictions.json.
    """

    split: Path
    weights: Path
    backbone: str
    size: int
    seed: int
    head_epochs: int
    tuning_epochs: int
    began: float
    out: Path


def read_task() -> Task:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    for name in ("split", "weights", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--head-epochs", type=int, default=20)
    parser.add_argument("--tuning-epochs", type=int, default=10)
    parser.add_argument("--began", type=float, default=time.time())
    return Task(**vars(parser.parse_args()))


def load_backbone(task: Task) -> Any:
    """Return the network without its top, from the same file that tl takes."""
    import keras

    make, alpha, file = {
        "mobilenet_0.25": (keras.applications.MobileNet, 0.25, "mobilenet_2_5_224_tf_no_top.h5"),
        "mobilenet_v2_0.35": (
            keras.applications.MobileNetV2,
            0.35,
            "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5",
        ),
    }[task.backbone]
    return make(
        alpha=alpha,
        weights=str(task.weights / file),
        input_shape=(task.size, task.size, 3),
        include_top=False,
    )


def read_side(task: Task, side: str, **options: Any) -> Any:
    """Return (pictures, labels) of a side, decoded and resized, as the guide advises to read."""
    import keras

    return keras.utils.image_dataset_from_directory(
        task.split / side, image_size=(task.size, task.size), seed=task.seed, **options
    )


def epoch_events(task: Task, phase: str) -> Any:
    """Return a callback that writes the validation accuracy and the time of every epoch."""
    import keras

    def write(epoch: int, logs: dict[str, float]) -> None:
        event = {
            "seconds": time.time() - task.began,
            "phase": phase,
            "val_accuracy": float(logs["val_accuracy"]),
        }
        with (task.out / "events.jsonl").open("a") as file:
            file.write(json.dumps(event) + "\n")

    return keras.callbacks.LambdaCallback(on_epoch_end=write)


def write_predictions(task: Task, model: Any) -> None:
    """Write the class of every test picture; the clock stopped with the last epoch."""
    pictures = read_side(task, "test", batch_size=64, shuffle=False)
    labels = model.predict(pictures, verbose=0).argmax(axis=1)
    found = {
        Path(path).relative_to(task.split / "test").as_posix(): pictures.class_names[label]
        for path, label in zip(pictures.file_paths, labels, strict=True)
    }
    (task.out / "predictions.json").write_text(json.dumps(found))
