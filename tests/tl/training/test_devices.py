"""Sixteen bits are for GPUs; here there is none."""

from collections.abc import Iterator

import keras
import pytest

from tl.config import TrainingConfig
from tl.errors import ConfigError
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
    device = prepare_device(TrainingConfig(mixed_precision=wanted))  # type: ignore[arg-type]

    assert device.kind == "CPU"
    assert device.backend == "tensorflow"
    assert device.precision == keras.config.dtype_policy().name == precision
    assert "no GPU" in device.description


def test_precision_on_a_cpu_follows_the_trial() -> None:
    device = prepare_device(TrainingConfig(), bfloat16_pays=lambda: True)

    assert device.precision == keras.config.dtype_policy().name == "mixed_bfloat16"


def test_deterministic_changes_nothing_on_a_cpu_and_says_so() -> None:
    from tensorflow.python.framework.config import is_op_determinism_enabled

    device = prepare_device(TrainingConfig(deterministic=True))

    assert device.deterministic
    assert device.notes == (
        "--deterministic changes nothing on a CPU: the same seed gives the same weights",
    )
    assert not is_op_determinism_enabled()


def test_more_replicas_than_devices_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"replicas = 2, but TensorFlow sees 1 CPU; leave it out"):
        prepare_device(TrainingConfig(replicas=2))


def test_one_device_has_no_replicas() -> None:
    assert prepare_device(TrainingConfig()).replicas == ()
    assert prepare_device(TrainingConfig(replicas=1)).replicas == ()


GPU = ("GPU", "GPU", True)


def test_gpu_becomes_deterministic_and_says_what_it_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    called: list[bool] = []
    monkeypatch.setattr("tl.training.devices._tensorflow", lambda: GPU)
    monkeypatch.setattr(
        tf.config.experimental, "enable_op_determinism", lambda: called.append(True)
    )

    device = prepare_device(TrainingConfig(deterministic=True))

    assert called == [True]
    assert device.notes == ("deterministic: slower kernels, and Keras turns XLA off with it",)
    with pytest.raises(ConfigError, match=r"training.xla = 'on' and .* exclude each other"):
        prepare_device(TrainingConfig(deterministic=True, xla="on"))


def test_jax_is_told_of_determinism_before_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tl.training.devices._jax", lambda: GPU)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")

    with pytest.raises(ConfigError, match="set XLA_FLAGS=--xla_gpu_deterministic_ops=true in the"):
        prepare_device(TrainingConfig(deterministic=True), environ={})
    told = {"XLA_FLAGS": "--xla_gpu_deterministic_ops=true"}
    assert (
        "slower kernels"
        in prepare_device(TrainingConfig(deterministic=True), environ=told).notes[0]
    )
    with pytest.raises(
        ConfigError, match=r"training.xla = 'off', but JAX computes through XLA only"
    ):
        prepare_device(TrainingConfig(xla="off"))
    with pytest.raises(ConfigError, match="replicas = 2, but JAX trains on one device here"):
        prepare_device(TrainingConfig(replicas=2))


def test_float16_is_not_shared_by_replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tl.training.devices._tensorflow", lambda: ("GPU", "GPU old", False))
    monkeypatch.setattr("tl.training.devices._replicas", lambda *_: ("GPU:0", "GPU:1"))

    device = prepare_device(TrainingConfig())

    assert device.precision == "mixed_float16"
    assert device.replicas == ()
    assert "one GPU of several is used" in device.notes[0]
