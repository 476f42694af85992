"""Models as `tl` exports them, of its own backbone with weights by chance."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tl.problem import Problem

CLASSES = ["cat", "dog", "fox", "hen", "owl", "yak"]


def export(folder: Path, problem: "Problem" = "single_label") -> None:
    """Write a version with every signature of tl, and the requests that warm it up."""
    import keras

    from tl.classifier import build_classifier
    from tl.export.saved_model import write_saved_model
    from tl.export.warmup import write_warmup_requests
    from tl.zoo.backbones import find_backbone

    keras.utils.set_random_seed(1)
    names = [] if problem == "regression" else CLASSES
    classifier = build_classifier(
        find_backbone("tl_small"), n_classes=len(names) or 1, image_size=(32, 32), weights=None,
        dropout=0.0, problem=problem,
    )  # fmt: skip
    folder.mkdir(parents=True)
    model = classifier.model
    both = keras.Model(model.input, [model.output, classifier.backbone.output])
    write_saved_model(both, folder, class_names=names, image_size=(32, 32), problem=problem)
    write_warmup_requests(folder, folder.parent.name)
