"""What ships in the package is small, has its papers, and is worth its bytes."""

import json
from pathlib import Path

import pytest

from tl.download import file_digest

PRETRAINED = Path(__file__).parents[1] / "tl" / "zoo" / "pretrained"
FLOWERS = Path(__file__).parents[2] / "shared" / "data" / "flower_photos"


def test_shipped_weights_have_at_most_two_megabytes_and_a_provenance() -> None:
    facts = json.loads((PRETRAINED / "tl_small.json").read_text())

    assert (PRETRAINED / "tl_small.npz").stat().st_size <= 2_000_000
    assert facts["command"].startswith("tl pretrain ")
    assert {"data_fingerprint", "data_licence", "config", "versions", "date",
            "held_out_accuracy"} <= set(facts)  # fmt: skip
    assert facts["config"]["seed"] == 0
    assert facts["sha256"] == file_digest(PRETRAINED / "tl_small.npz", "sha256")
    assert not any(str(value).startswith("/") for value in facts["config"].values())


@pytest.mark.slow
@pytest.mark.skipif(not FLOWERS.is_dir(), reason="flower_photos is not beside this checkout")
def test_probe_beats_random_weights_by_10_points_and_raw_pixels_by_15() -> None:
    from benchmarks.probe import probe_shipped_backbone

    (result,) = probe_shipped_backbone(str(FLOWERS), shots=[20])

    assert result.pretrained >= result.random + 0.10
    assert result.pretrained >= result.pixels + 0.15
