"""An interrupted pretraining goes on where it was."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tl.data.batches import training_batches
from tl.errors import ConfigError
from tl.training.progress import Silent


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


def config(pictures: Path, folder: Path, name: str) -> Any:
    from pipelines.pretrain import PretrainConfig

    return PretrainConfig(
        dataset=str(pictures), output=folder / f"{name}.npz", checkpoint=folder / name,
        backbone="mobilenet_0.25", image_size=32, epochs=2, batch_size=8, recipe="light",
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


def test_output_has_to_be_an_npz_file(pictures: Path, tmp_path: Path) -> None:
    from pipelines.pretrain import PretrainConfig

    with pytest.raises(ConfigError, match=r"give a name that ends with \.npz"):
        PretrainConfig(dataset=str(pictures), output=tmp_path / "a.h5", checkpoint=tmp_path)
