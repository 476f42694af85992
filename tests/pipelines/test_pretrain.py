"""An interrupted pretraining goes on where it was."""

import dataclasses
import errno
import hashlib
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tl.data.batches import training_batches
from tl.errors import ConfigError, Interrupted, TrainingError
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
    from pipelines.pretrain_config import PretrainConfig

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
    assert facts["config"]["label_smoothing"] == 0.1
    assert facts["held_out_top_5"] == 1.0


@pytest.mark.parametrize(
    ("grow_from", "epochs", "expected"),
    [
        (None, 9, [(64, 9)]),
        (64, 9, [(64, 9)]),
        (32, 9, [(32, 3), (48, 6), (64, 9)]),
        (32, 2, [(48, 1), (64, 2)]),
        (32, 1, [(64, 1)]),
    ],
)
def test_views_grow_in_three_steps(
    grow_from: int | None, epochs: int, expected: list[tuple[int, int]], tmp_path: Path
) -> None:
    from pipelines.pretrain import sides_of

    chosen = config(tmp_path, tmp_path, "x", image_size=64, grow_from=grow_from, epochs=epochs)
    assert sides_of(chosen) == expected


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"grow_from": 64},
            "--grow-from 64: give a side of 32, which is the least .* to --image-size 32",
        ),
        ({"label_smoothing": 1.0}, "--label-smoothing 1.0: give 0 to below 1"),
        ({"label_smoothing": float("nan")}, "--label-smoothing nan: give 0 to below 1"),
        ({"ema": -0.1}, "--ema -0.1: give 0 to below 1"),
        ({"epochs": 0}, "--epochs 0: give 1 or more"),
        ({"batch_size": -1}, "--batch-size -1: give 1 or more"),
        ({"image_size": 999_999_999}, "--image-size 999999999: give 2048 or less"),
        ({"learning_rate": 0.0}, "--learning-rate 0.0: give a rate above 0"),
        ({"learning_rate": -1.0}, "--learning-rate -1.0"),
        ({"learning_rate": float("nan")}, "--learning-rate nan"),
        ({"seed": -1}, "--seed -1: give 0 to 2147483647"),
        ({"seed": 2**31}, "--seed 2147483648"),
        ({"recipe": "randaugmnt"}, "no recipe is called 'randaugmnt'; .*randaugment"),
        ({"recipe": "auto"}, "no recipe is called 'auto'"),
        ({"backbone": "mobilnet"}, "no backbone is called 'mobilnet'"),
        ({"keep": "tl_smal"}, "no backbone is called 'tl_smal'"),
        ({"image_size": 31}, "pictures of 31x31 are too small"),
        ({"grow_from": 24}, "--grow-from 24: give a side of 32, which is the least"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=words):
        config(tmp_path, tmp_path, "x", **changes)


def test_settings_are_checked_without_keras(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path;"
        "from pipelines.pretrain_config import PretrainConfig;"
        "PretrainConfig(dataset='x', output=Path('a.npz'), checkpoint=Path('c'));"
        "assert not {'keras', 'tensorflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("option", ["output", "checkpoint"])
def test_folders_that_cannot_be_written_are_named_before_anything_is_read(
    option: str, tmp_path: Path
) -> None:
    import pipelines.pretrain

    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "sub" / "a.npz"
    chosen = config(tmp_path / "no pictures", tmp_path, "x")
    with pytest.raises(ConfigError, match=f"--{option}: nothing can be written in .*file"):
        pipelines.pretrain.pretrain(dataclasses.replace(chosen, **{option: path}), Silent(), "")


def test_more_pictures_a_batch_than_there_are_is_refused(pictures: Path, tmp_path: Path) -> None:
    import pipelines.pretrain

    chosen = config(pictures, tmp_path, "x", batch_size=128)
    with pytest.raises(
        ConfigError, match=r"--batch-size 128 is more than the 32 training pictures"
    ):
        pipelines.pretrain.pretrain(chosen, Silent(), "")
    assert list(tmp_path.iterdir()) == []  # folders are tried and taken away


def test_no_checkpoint_that_can_be_read_is_said(
    pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import pipelines.pretrain

    chosen = config(pictures, tmp_path, "x")
    chosen.checkpoint.mkdir()
    (chosen.checkpoint / "checkpoint-00000001-0123456789abcdef.npz").write_bytes(b"cut off")

    assert pipelines.pretrain._checkpoint(chosen, pipelines.pretrain._read(chosen)) is None
    assert "is damaged" in caplog.text
    assert "no checkpoint that can be read: training begins anew" in caplog.text


def test_layers_that_are_not_trained_cannot_be_kept(pictures: Path, tmp_path: Path) -> None:
    import pipelines.pretrain

    chosen = config(pictures, tmp_path, "x", keep="mobilenet_0.5")
    with pytest.raises(ConfigError, match="mobilenet_0.25 has no layer like its 'conv1'"):
        pipelines.pretrain.pretrain(chosen, Silent(), "")


@pytest.mark.slow
def test_a_stopped_training_goes_on_to_the_same_weights_and_no_other_may_take_its_place(
    pictures: Path, tmp_path: Path
) -> None:
    import pipelines.pretrain

    def of(name: str, **changes: Any) -> Any:
        return config(pictures, tmp_path, name, **{"backbone": "lenet5", **changes})

    class Stopped(Silent):
        updates = 0

        def step_done(self, phase: str, epoch: int, step: int, images: int) -> None:
            self.updates += 1
            if self.updates == 3:
                signal.raise_signal(signal.SIGTERM)

    straight = pipelines.pretrain.pretrain(of("straight"), Silent(), "")
    with pytest.raises(Interrupted, match="stopped after 3 updates; they are in .*again to go on"):
        pipelines.pretrain.pretrain(of("again"), Stopped(), "")
    others: list[tuple[dict[str, Any], str]] = [
        ({"epochs": 3}, "epochs was 2 and is 3"),
        ({"batch_size": 9}, "batch_size was 8 and is 9"),
        ({"backbone": "lenet5:activation=relu"}, "backbone was 'lenet5' and is"),
        ({"image_size": 40}, "image_size was 32 and is 40"),
    ]
    for changes, words in others:
        with pytest.raises(TrainingError, match=words):
            pipelines.pretrain.pretrain(of("again", **changes), Silent(), "")
    (tmp_path / "fewer").mkdir()
    for folder in list(pictures.iterdir())[:2]:
        shutil.copytree(folder, tmp_path / "fewer" / folder.name)
    other = dataclasses.replace(of("again"), dataset=str(tmp_path / "fewer"))
    with pytest.raises(TrainingError, match="pictures was '.*' and is '"):
        pipelines.pretrain.pretrain(other, Silent(), "")

    diary = Diary()
    resumed = pipelines.pretrain.pretrain(of("again", licence="CC0"), diary, "")

    assert diary.steps == [4, 8]
    with np.load(straight.weights) as one, np.load(resumed.weights) as two:
        assert set(one) == set(two)
        assert all(np.array_equal(one[key], two[key]) for key in one)
    facts = json.loads(resumed.provenance.read_text())
    assert (facts["config"]["epochs"], facts["config"]["keep"]) == (2, None)
    assert facts["data_licence"] == "CC0"
    assert facts["sha256"] == hashlib.sha256(resumed.weights.read_bytes()).hexdigest()


@pytest.mark.slow
def test_a_disk_without_room_for_checkpoints_ends_no_training(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    import pipelines.pretrain

    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tl.training.standing.write_checkpoint", full)
    done = pipelines.pretrain.pretrain(
        config(pictures, tmp_path, "x", backbone="lenet5", epochs=1), Silent(), ""
    )

    assert done.weights.is_file()
    assert "no checkpoint could be written (No space left on device)" in caplog.text


@pytest.mark.slow
def test_what_is_kept_is_the_first_part_of_what_was_trained(pictures: Path, tmp_path: Path) -> None:
    import pipelines.pretrain
    from tl.zoo.backbones import find_backbone

    backbone = "mobilenet"  # which tl_small is the beginning of
    whole = pipelines.pretrain.pretrain(
        config(pictures, tmp_path, "whole", backbone=backbone, epochs=1), Silent(), ""
    )
    again = dataclasses.replace(
        config(pictures, tmp_path, "whole", backbone=backbone, epochs=1, keep="tl_small"),
        output=tmp_path / "part.npz",
    )
    part = pipelines.pretrain.pretrain(again, Silent(), "")  # the checkpoint is its own

    with np.load(whole.weights) as all_of_it, np.load(part.weights) as first:
        assert set(first) < set(all_of_it)
        assert all(np.array_equal(first[key], all_of_it[key]) for key in first)
    row = find_backbone("tl_small")
    assert json.loads(part.provenance.read_text())["parameters"] == row.parameters


def test_output_has_to_be_an_npz_file(pictures: Path, tmp_path: Path) -> None:
    from pipelines.pretrain_config import PretrainConfig

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
    assert json.loads(done.provenance.read_text())["auxiliary_classifiers"] is True
    with np.load(done.weights) as arrays:
        assert not any("auxiliary" in key for key in arrays)
    load_backbone_weights(build_backbone(find_backbone("googlenet:normalisation=none")),
                          done.weights)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "expected", "why"),
    [
        ({"backbone": "googlenet", "image_size": 65}, True, None),
        ({"backbone": "googlenet", "image_size": 96, "grow_from": 96}, True, None),
        ({"backbone": "googlenet", "image_size": 64}, False, "they need --image-size 65 or more"),
        ({"backbone": "googlenet", "image_size": 96, "grow_from": 72}, False, "leave --grow-from"),
        ({"backbone": "resnet18", "image_size": 96}, False, None),
    ],
)
def test_auxiliary_classifiers_are_those_of_googlenet_at_one_size(
    changes: Any, expected: bool, why: str | None, tmp_path: Path
) -> None:
    from pipelines.pretrain import leaves_auxiliary_out, uses_auxiliary

    chosen = config(tmp_path, tmp_path, "x", **changes)
    assert uses_auxiliary(chosen) == expected
    said = leaves_auxiliary_out(chosen)
    assert (said is None) == (why is None)
    assert why is None or why in str(said)


def test_top_5_is_of_the_five_highest_scores() -> None:
    from pipelines.pretrain import _measure

    class Fixed:
        def predict_on_batch(self, images: Any) -> Any:
            return images

    # The label's score is the highest, the second, the fifth and the sixth of seven.
    scores = np.array([[7, 1, 2, 3, 4, 5, 6], [6, 7, 1, 2, 3, 4, 5], [3, 7, 6, 5, 4, 1, 2],
                       [2, 7, 6, 5, 4, 3, 1]], np.float64)  # fmt: skip
    labels = np.zeros(4, int)

    loss, first, five = _measure(Fixed(), [(scores[:3], labels[:3], None),
                                           (scores[3:], labels[3:], None)])  # fmt: skip

    probabilities = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    assert loss == pytest.approx(-np.log(probabilities[:, 0]).mean())
    assert (first, five) == (0.25, 0.75)
