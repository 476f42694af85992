"""Whether a file of weights fits the network of a plan, before anything is trained."""

import io
from collections.abc import Callable

from pipelines.plan import Plan
from pipelines.run_facts import warnings_to
from tl.zoo.build import build_backbone


def check_weights_fit(plan: Plan, say: Callable[[str], None]) -> None:
    """Build the backbone with its weights, as the run will.

    Args:
        plan: with weights.
        say: told which layers stay random, where that is allowed.

    Raises:
        WeightsError: damaged, or of another network.
    """
    with warnings_to(say, io.StringIO()):
        build_backbone(plan.backbone, plan.image_size, plan.weights)
