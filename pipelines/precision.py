"""Ask this machine whether it computes a plan's network faster in bfloat16, and say the answer."""

import os
from collections.abc import Callable
from pathlib import Path

import keras

from pipelines.plan import Plan
from pipelines.run_facts import package_versions
from tl.data.inspect import cache_folder
from tl.training.precision import (
    SMALLEST_NETWORK,
    WORTH_IT,
    bfloat16_gain,
    cpu_name,
    has_bfloat16,
    remembered_gain,
)
from tl.zoo.build import build_backbone


def bfloat16_pays(plan: Plan, say: Callable[[str], None]) -> bool:
    """Return whether this CPU computes the plan's network so much faster in bfloat16."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.is_file() else ""
    if plan.backbone.parameters < SMALLEST_NETWORK or not has_bfloat16(text):
        return False
    facts = {
        "cpu": cpu_name(text),
        "cores": os.cpu_count(),
        "backbone": plan.backbone.name,
        "size": list(plan.image_size),
        "backend": keras.backend.backend(),
        "versions": [keras.__version__, package_versions().get(keras.backend.backend())],
    }
    gain = remembered_gain(
        cache_folder() / "precision",
        facts,
        lambda: bfloat16_gain(lambda: build_backbone(plan.backbone, plan.image_size)),
    )
    pays = gain >= WORTH_IT
    say(
        f"this CPU computes {plan.backbone.name} {gain:.2f} times as fast in bfloat16"
        f"{'' if pays else f': less than {WORTH_IT}, so not used'}"
    )
    return pays
