"""A run that begins with some of a file's layers says which ones it lacks, once."""

from pathlib import Path
from typing import Any

import pytest


@pytest.mark.slow
def test_layers_that_stay_random_are_listed_once(
    pictures: Path,
    settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    import numpy as np

    from pipelines.finetune import finetune
    from pipelines.plan import make_plan
    from tl.config_reading import read_config
    from tl.zoo.backbones import find_backbone
    from tl.zoo.build import build_backbone
    from tl.zoo.load import save_backbone_npz

    monkeypatch.chdir(tmp_path)
    save_backbone_npz(build_backbone(find_backbone("lenet5")), tmp_path / "whole.npz")
    with np.load("whole.npz") as arrays:
        kept: dict[str, Any] = {name: arrays[name] for name in arrays if name.startswith("c1/")}
        np.savez("part.npz", **kept)
    values = {
        **settings,
        "dataset": str(pictures),
        "model.backbone": "lenet5",
        "model.weights": "part.npz",
        "model.partial_weights": True,
        "model.image_size": 32,
    }
    said: list[str] = []

    result = finetune(make_plan(read_config(None, (), values)), say=said.append)

    told = [line for line in said if "stay random" in line]
    assert len(told) == 1
    assert told[0].startswith("warning: 2 of the 3 layers do not come from")
    assert told[0].count(": missing") == 2
    assert told[0] in (result.run / "log.txt").read_text()
    assert [one for one in caplog.records if one.name == "tl.zoo.load"] == []
    assert (result.run / "suspects.csv").is_file()
