"""Two devices lead where one leads. In a process of its own, whose CPU is divided in two."""

import subprocess
import sys
from pathlib import Path

import pytest

TWO_DEVICES = Path(__file__).with_name("two_devices.py")


def in_two_devices(case: str, pictures: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", str(TWO_DEVICES), case, str(pictures)],
        capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_two_devices_lead_to_the_weights_of_one(pictures: Path) -> None:
    """With smoothing, averages, clipping, rates that decay, rows of weight 0, an odd batch."""
    assert "agreed: 5 updates, moments and averages too" in in_two_devices("updates", pictures)


@pytest.mark.soak
def test_share_of_a_batch_that_does_not_fit_is_computed_in_parts(pictures: Path) -> None:
    assert "halved to 2 parts each, and agreed" in in_two_devices("memory", pictures)


@pytest.mark.slow
def test_comparison_holds_for_a_sound_loss_and_notices_one_that_is_no_mean(pictures: Path) -> None:
    assert "sound holds, sum is noticed, model as it was" in in_two_devices("compare", pictures)


@pytest.mark.slow
def test_run_on_two_devices_ends_like_one_and_one_that_disagrees_goes_on_alone(
    pictures: Path,
) -> None:
    out = in_two_devices("run", pictures)

    assert "2 devices share every batch; the loss of one update is" in out
    assert "same records" in out
    assert "2 devices do not agree with one" in out
    assert "alone to the bit" in out


@pytest.mark.soak
def test_two_devices_go_on_from_a_checkpoint_to_the_same_end(pictures: Path) -> None:
    assert "resumed to the bit" in in_two_devices("resume", pictures)
