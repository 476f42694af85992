"""An interrupted pretraining goes on where it was."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tl.data.batches import training_batches
from tl.errors import ConfigError
from tl.training.fit import run_phase
from tl.training.progress import Silent
from tl.training.standing import CheckpointWriter


class Killed(BaseException):
    pass


class Diary(Silent):
    """A listener that notes the steps, and can end the process's work after one of them."""

    def __init__(self, killed_after: int | None = None) -> None:
        self.steps: list[int] = []
        self._updates, self._killed_after = 0, killed_after

    def step_done(self, phase: str, epoch: int, step: int, images: int) -> None:
        self._updates += 1
        if self._updates == self._killed_after:
            raise Killed

    def epoch_done(self, record: Any) -> None:
        self.steps.append(record.step)


def config(pictures: Path, folder: Path, name: str, **changes: Any) -> Any:
    from pipelines.pretrain import PretrainConfig

    return PretrainConfig(
        dataset=str(pictures), output=folder / f"{name}.npz", checkpoint=folder / name,
        **{"backbone": "mobilenet_0.25", "image_size": 32, "epochs": 2, "batch_size": 8,
           "recipe": "light", **changes},
    )  # fmt: skip


@pytest.mark.slow
def test_interrupted_pretraining_goes_on_at_the_right_step(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pipelines.pretrain

    straight = Diary()
    pipelines.pretrain.pretrain(config(pictures, tmp_path, "straight"), straight, "tl pretrain")
    steps = straight.steps[0]
    assert straight.steps == [steps, 2 * steps]

    with pytest.raises(Killed):
        pipelines.pretrain.pretrain(config(pictures, tmp_path, "again"), Diary(killed_after=3), "")
    resumed = Diary()
    seen: list[int] = []
    batches = training_batches

    def from_step(*arguments: Any, **options: Any) -> Any:
        seen.append(options["first_step"])
        return batches(*arguments, **options)

    monkeypatch.setattr(pipelines.pretrain, "training_batches", from_step)
    result = pipelines.pretrain.pretrain(
        config(pictures, tmp_path, "again"), resumed, "tl pretrain --dataset colours"
    )

    assert seen == [1]  # written after the first update, and then not for a minute
    assert resumed.steps == [steps, 2 * steps]
    facts = json.loads(result.provenance.read_text())
    assert facts["command"] == "tl pretrain --dataset colours"
    assert facts["held_out_accuracy"] == round(result.accuracy, 4)
    assert facts["training_pictures"] + facts["held_out_pictures"] == 36
    with np.load(result.weights) as one, np.load(tmp_path / "straight.npz") as other:
        assert set(one) == set(other)
        assert all(one[key].dtype == np.float16 for key in one)
        for key in one:
            assert np.array_equal(one[key], other[key]), key


def growing(pictures: Path, folder: Path, name: str) -> Any:
    return config(
        pictures, folder, name, epochs=3, image_size=64, grow_from=32, label_smoothing=0.1, ema=0.9,
        recipe="randaugment",
    )  # fmt: skip


@pytest.mark.soak
def test_growing_views_are_gone_on_with_at_their_size_and_with_their_averages(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pipelines.pretrain

    sides: list[int] = []
    batches = training_batches

    def noted(training: Any, augment: Any, **options: Any) -> Any:
        for images, labels, weights in batches(training, augment, **options):
            sides.append(images.shape[1])
            yield images, labels, weights

    monkeypatch.setattr(pipelines.pretrain, "training_batches", noted)
    straight = pipelines.pretrain.pretrain(growing(pictures, tmp_path, "one"), Silent(), "")
    assert sides[:12] == [32] * 4 + [48] * 4 + [64] * 4
    assert straight.top_5 == 1.0  # of three classes
    monkeypatch.setattr(CheckpointWriter, "write_if_due", CheckpointWriter.write)
    with pytest.raises(Killed):  # in the second size
        pipelines.pretrain.pretrain(growing(pictures, tmp_path, "two"), Diary(killed_after=6), "")
    sides.clear()
    resumed = pipelines.pretrain.pretrain(growing(pictures, tmp_path, "two"), Silent(), "")
    assert set(sides) == {48, 64}
    with np.load(straight.weights) as one, np.load(resumed.weights) as other:
        for key in one:
            assert np.array_equal(one[key], other[key]), key
    facts = json.loads(resumed.provenance.read_text())
    assert facts["config"]["label_smoothing"] == "0.1"
    assert facts["held_out_top_5"] == 1.0


@pytest.mark.parametrize(
    ("grow_from", "epochs", "expected"),
    [
        (None, 9, [(32, 9)]),
        (32, 9, [(32, 9)]),
        (16, 9, [(16, 3), (24, 6), (32, 9)]),
        (16, 2, [(24, 1), (32, 2)]),
        (16, 1, [(32, 1)]),
    ],
)
def test_views_grow_in_three_steps(
    grow_from: int | None, epochs: int, expected: list[tuple[int, int]], tmp_path: Path
) -> None:
    from pipelines.pretrain import sides_of

    assert sides_of(config(tmp_path, tmp_path, "x", grow_from=grow_from, epochs=epochs)) == expected


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"grow_from": 64}, "--grow-from 64: give a side of 8 to --image-size 32"),
        ({"label_smoothing": 1.0}, "0 to below 1"),
        ({"ema": -0.1}, "0 to below 1"),
        ({"epochs": 0}, "1 or more"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=words):
        config(tmp_path, tmp_path, "x", **changes)


def test_output_has_to_be_an_npz_file(pictures: Path, tmp_path: Path) -> None:
    from pipelines.pretrain import PretrainConfig

    with pytest.raises(ConfigError, match=r"give a name that ends with \.npz"):
        PretrainConfig(dataset=str(pictures), output=tmp_path / "a.h5", checkpoint=tmp_path)


@pytest.mark.slow
def test_googlenet_is_trained_with_its_auxiliary_classifiers_and_written_without(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pipelines.pretrain
    from tl.zoo.backbones import find_backbone
    from tl.zoo.build import build_backbone
    from tl.zoo.classic.googlenet import AuxiliaryModel
    from tl.zoo.load import load_backbone_weights

    trained: list[Any] = []

    def noted(model: Any, *further: Any, **options: Any) -> None:
        trained.append(model)
        run_phase(model, *further, **options)

    monkeypatch.setattr(pipelines.pretrain, "run_phase", noted)
    chosen = config(
        pictures, tmp_path, "one", backbone="googlenet:normalisation=none", image_size=65, epochs=1
    )
    done = pipelines.pretrain.pretrain(chosen, Silent(), "")

    (model,) = trained
    assert isinstance(model, AuxiliaryModel)
    assert set(model.output) == {"logits", "auxiliary_1", "auxiliary_2"}
    with np.load(done.weights) as arrays:
        assert not any("auxiliary" in key for key in arrays)
    load_backbone_weights(build_backbone(find_backbone("googlenet:normalisation=none")),
                          done.weights)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"backbone": "googlenet", "image_size": 65}, True),
        ({"backbone": "googlenet", "image_size": 96, "grow_from": 96}, True),
        ({"backbone": "googlenet", "image_size": 64}, False),
        ({"backbone": "googlenet", "image_size": 96, "grow_from": 72}, False),
        ({"backbone": "resnet18", "image_size": 96}, False),
    ],
)
def test_auxiliary_classifiers_are_those_of_googlenet_at_one_size(
    changes: Any, expected: bool, tmp_path: Path
) -> None:
    from pipelines.pretrain import uses_auxiliary

    assert uses_auxiliary(config(tmp_path, tmp_path, "x", **changes)) == expected
