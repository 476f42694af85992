"""Sixteen bits are for GPUs; here there is none."""

from collections.abc import Iterator

import keras
import pytest

from tl.training.devices import prepare_device


@pytest.fixture(autouse=True)
def policy() -> Iterator[None]:
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize(
    ("wanted", "precision"), [("auto", "float32"), ("off", "float32"), ("on", "mixed_bfloat16")]
)
def test_precision_on_a_cpu(wanted: str, precision: str) -> None:
    device = prepare_device(wanted)  # type: ignore[arg-type]

    assert device.kind == "CPU"
    assert device.backend == "tensorflow"
    assert device.precision == keras.config.dtype_policy().name == precision
    assert "no GPU" in device.description
