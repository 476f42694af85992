"""What fine-tuning will cost, before a step of it has been made."""

from collections.abc import Sequence

FORWARD = 1.2
"""Of an update, in units of inference: the forward pass, without constants folded."""
BACKWARD = 2.2
"""And the backward pass through all of the network. Both measured on a CPU with MobileNet 0.25 and
MobileNetV2 0.35 at 224 pixels: 1.4 and 1.7 in all for the last stage, 3.0 and 3.8 for all."""


def update_cost(stage_costs: Sequence[int], n_stages: int | None) -> float:
    """Return the time of an update's picture in units of its inference.

    Args:
        stage_costs: multiply-adds of every stage, the pixels' side first.
        n_stages: how many of the last stages are trained; None for all.
    """
    trained = stage_costs if n_stages is None else stage_costs[-n_stages:]
    return FORWARD + BACKWARD * sum(trained) / max(1, sum(stage_costs))
