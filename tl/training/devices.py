"""Which device computes, and in which precision."""

import importlib
from dataclasses import dataclass
from typing import Literal

import keras


@dataclass(frozen=True, slots=True)
class Device:
    """What training runs on.

    Attributes:
        kind: ``GPU``, ``TPU`` or ``CPU``.
        description: one phrase for people.
        precision: Keras dtype policy that training uses.
        backend: ``tensorflow`` or ``jax``.
    """

    kind: str
    description: str
    precision: str
    backend: str


def prepare_device(mixed_precision: Literal["auto", "on", "off"]) -> Device:
    """Find the device and set Keras' precision for the models built after this.

    Mixed precision is for GPUs: bfloat16 where compute capability is 8.0 or more, else float16
    with loss scaling. On a CPU it makes depthwise networks slower (measured), so ``auto`` leaves
    it off there; ``on`` takes bfloat16.
    """
    backend = keras.backend.backend()
    kind, description, modern = _tensorflow() if backend == "tensorflow" else _jax()
    wanted = mixed_precision == "on" or (mixed_precision == "auto" and kind == "GPU")
    precision = "float32"
    if wanted:
        precision = "mixed_bfloat16" if modern or kind != "GPU" else "mixed_float16"
    keras.config.set_dtype_policy(precision)
    return Device(kind, description, precision, backend)


def _tensorflow() -> tuple[str, str, bool]:
    tensorflow = importlib.import_module("tensorflow")
    gpus = tensorflow.config.list_physical_devices("GPU")
    if not gpus:
        return "CPU", "CPU (no GPU that TensorFlow can use)", False
    for gpu in gpus:  # otherwise TensorFlow takes all memory of the card at once
        tensorflow.config.experimental.set_memory_growth(gpu, True)
    details = tensorflow.config.experimental.get_device_details(gpus[0])
    name = details.get("device_name", "GPU")
    return "GPU", f"GPU {name}", details.get("compute_capability", (0, 0)) >= (8, 0)


def _jax() -> tuple[str, str, bool]:
    jax = importlib.import_module("jax")
    device = jax.devices()[0]
    if device.platform == "cpu":
        return "CPU", "CPU (JAX sees no GPU)", False
    kind = device.platform.upper().replace("CUDA", "GPU")
    return kind, f"{kind} {device.device_kind} (JAX)", True


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether a backend gave up because a tensor found no room."""
    return type(error).__name__ == "ResourceExhaustedError" or "RESOURCE_EXHAUSTED" in str(error)
