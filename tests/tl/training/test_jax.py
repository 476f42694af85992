"""The same training on JAX, in processes of their own: a backend is chosen at import."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "dataset", "parts"),
    [
        ("rates", "pictures", 2),
        pytest.param("mixed", "pictures", 1, marks=pytest.mark.soak),
        pytest.param("last", "shapes", 1, marks=pytest.mark.soak),
        ("hidden", "discs", 1),
    ],
)
def test_jax_run_that_was_killed_ends_to_the_bit_as_one_that_was_not(
    recipe: str, dataset: str, parts: int, request: pytest.FixtureRequest
) -> None:
    """One class, several (`shapes`) and numbers (`discs`)."""
    pytest.importorskip("jax")
    script, pictures = (
        Path(__file__).with_name("killed_on_jax.py"),
        request.getfixturevalue(dataset),
    )

    done = subprocess.run(
        [sys.executable, str(script), str(pictures), recipe],
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr[-3000:]
    assert f"resumed in {parts} parts, to the bit" in done.stdout
