"""Whether a CPU computes a network faster in bfloat16: asked of the CPU, then of a clock.

A timing may fall out otherwise the next time, and the same seed would then give other weights; so a
machine is asked once for each network, and the answer is kept.
"""

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tl.inference import inference_function
from tl.written_aside import written_aside

WORTH_IT = 1.2
"""Times as fast, for digits that are lost."""
SMALLEST_NETWORK = 10_000_000
"""Parameters. Smaller ones took 1.3 to 1.8 times as long in bfloat16 (docs/benchmarks.md), so that
asking would cost seconds for nothing."""
PICTURES = 8
ROUNDS = 3
_INSTRUCTIONS = {"avx512_bf16", "amx_bf16"}


def has_bfloat16(cpuinfo: str) -> bool:
    """Return whether a CPU multiplies in bfloat16, from the text of ``/proc/cpuinfo``."""
    flags = [line for line in cpuinfo.splitlines() if line.startswith("flags")]
    return bool(flags) and all(_INSTRUCTIONS & set(line.split()) for line in flags)


def cpu_name(cpuinfo: str) -> str:
    """Return what the CPU calls itself, or nothing."""
    names = (line for line in cpuinfo.splitlines() if line.startswith("model name"))
    return next(names, "").partition(":")[2].strip()


def bfloat16_gain(
    build: Callable[[], keras.Model], clock: Callable[[], float] = time.perf_counter
) -> float:
    """Return how many times as fast a network answers in bfloat16 as in float32.

    Inference stands for updates, which cost 3 times as much to time and gain a little less: 1.43
    where inference gains 1.51 (ResNet-50). The ways take turns, as other work comes and goes.

    Args:
        build: gives the network under Keras' policy of now; weights do not matter.
        clock: in seconds.
    """
    before = keras.config.dtype_policy()
    ways: dict[str, Callable[[], Any]] = {}
    try:
        for policy in ("float32", "mixed_bfloat16"):
            keras.config.set_dtype_policy(policy)
            ways[policy] = _inference(build())
    finally:
        keras.config.set_dtype_policy(before)
    seconds: dict[str, float] = {}
    for number in range(1 + ROUNDS):
        for policy, run in ways.items():
            began = clock()
            run()
            took = clock() - began
            if number:  # the first one compiles
                seconds[policy] = min(seconds.get(policy, np.inf), took)
    return seconds["float32"] / max(1e-9, seconds["mixed_bfloat16"])


def _inference(model: keras.Model) -> Callable[[], Any]:
    images = np.full((PICTURES, *model.input.shape[1:]), 128, np.uint8)
    run = inference_function(model)
    return lambda: run(images)


def remembered_gain(folder: Path, facts: Mapping[str, Any], measure: Callable[[], float]) -> float:
    """Return what was measured for a network on this machine before, or measure it now.

    Args:
        folder: of such answers.
        facts: all that the answer depends on.
        measure: gives it.
    """
    text = json.dumps(facts, sort_keys=True)
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    try:
        return float(json.loads(path.read_text())["gain"])
    except (OSError, ValueError, KeyError, TypeError):
        gain = round(measure(), 2)
    # Where it cannot be kept it is measured again the next time.
    with contextlib.suppress(OSError), written_aside(path) as aside:
        aside.write_text(json.dumps({"gain": gain, **facts}) + "\n")
    return gain
