"""The same training on JAX, in a process of its own: a backend is chosen at import."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_jax_run_that_was_killed_ends_to_the_bit_as_one_that_was_not(pictures: Path) -> None:
    """With rates that decay, averages, and batches in parts, which the checkpoint knows of."""
    pytest.importorskip("jax")
    script = Path(__file__).with_name("killed_on_jax.py")

    done = subprocess.run(
        [sys.executable, str(script), str(pictures)],
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr[-3000:]
    assert "resumed in 2 parts, to the bit" in done.stdout
