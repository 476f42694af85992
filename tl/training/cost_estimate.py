"""What fine-tuning will cost, told from what the frozen backbone costs, before it is tried."""

from collections.abc import Sequence

FORWARD = 1.2
"""Of the inference of the folded graph: BatchNorm is not folded while weights change."""
BACKWARD = 2.2
"""Of the stages that learn: gradients by the weights and by the inputs, and the optimizer."""


def update_cost(stage_costs: Sequence[int], n_stages: int | None) -> float:
    """Return the time of an update by the time of inference of as many pictures.

    Measured on a CPU with AVX-512, for MobileNet 0.25 and MobileNetV2 0.35: 1.4 to 1.7 where the
    last stage learns, 3.0 to 3.8 where all do; this gives 1.2 to 3.4. Reading and augmenting the
    pictures runs beside it on other threads and is not in it.

    Args:
        stage_costs: multiply-adds of every stage (`tl.zoo.cost.stage_costs`), pixels' side first.
        n_stages: how many of the last stages learn; 0 for the head alone, None for all.

    Raises:
        ValueError: no stage, or a negative number of them.
    """
    if not stage_costs or (n_stages is not None and n_stages < 0):
        raise ValueError(f"{n_stages} of {len(stage_costs)} stages cannot learn")
    learning = len(stage_costs) if n_stages is None else min(n_stages, len(stage_costs))
    total = sum(stage_costs)
    of_learning = sum(stage_costs[len(stage_costs) - learning :])
    share = of_learning / total if total else learning / len(stage_costs)
    return FORWARD + BACKWARD * share
