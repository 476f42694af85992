"""Which device computes, in which precision, and how repeatably.

TensorFlow and JAX are asked here and nowhere else in `tl.training` but `tl.training.replicas`.
"""

import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import keras

from tl.config import TrainingConfig
from tl.errors import ConfigError

JAX_FLAG = "--xla_gpu_deterministic_ops=true"


@dataclass(frozen=True, slots=True)
class Device:
    """What training runs on.

    Attributes:
        kind: ``GPU``, ``TPU`` or ``CPU``.
        description: one phrase for people.
        precision: Keras dtype policy that training uses.
        backend: ``tensorflow`` or ``jax``.
        replicas: TensorFlow's names of the devices that share every batch; empty for one device.
        deterministic: whether nothing is computed whose last bits depend on chance.
        notes: a line each about what was asked for and what it costs.
    """

    kind: str
    description: str
    precision: str
    backend: str
    replicas: tuple[str, ...] = ()
    deterministic: bool = False
    notes: tuple[str, ...] = ()


ONE_CPU = Device("CPU", "CPU", "float32", keras.backend.backend())


def prepare_device(
    training: TrainingConfig,
    bfloat16_pays: Callable[[], bool] = lambda: False,
    environ: Mapping[str, str] = os.environ,
) -> Device:
    """Find the device and set Keras' precision for the models built after this.

    Mixed precision is for GPUs: bfloat16 where compute capability is 8.0 or more, else float16
    with loss scaling. On a CPU it makes most networks slower (docs/benchmarks.md).

    Args:
        training: what was asked for.
        bfloat16_pays: says whether a CPU computes this run's network faster so; asked where
            ``mixed_precision`` is ``auto``.
        environ: where JAX is told to be deterministic.

    Raises:
        ConfigError: there is no such device, or it cannot do what was asked for.
    """
    backend = keras.backend.backend()
    kind, description, modern = _tensorflow() if backend == "tensorflow" else _jax()
    if backend == "jax" and training.xla == "off":
        raise ConfigError("training.xla = 'off', but JAX computes through XLA only; leave it out")
    wanted = training.mixed_precision
    if wanted == "auto":
        wanted = "on" if kind == "GPU" or (kind == "CPU" and bfloat16_pays()) else "off"
    precision = "float32"
    if wanted == "on":
        precision = "mixed_bfloat16" if modern or kind != "GPU" else "mixed_float16"
    notes = _make_deterministic(kind, backend, training, environ) if training.deterministic else []
    replicas = _replicas(kind, backend, training)
    if len(replicas) > 1 and precision == "mixed_float16":
        # Its loss scaling decides about an update on each replica by itself.
        notes.append("one GPU of several is used: float16 needs a loss scale that they would share")
        replicas = ()
    keras.config.set_dtype_policy(precision)
    return Device(
        kind, description, precision, backend, replicas, training.deterministic, tuple(notes)
    )


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


def _make_deterministic(
    kind: str, backend: str, training: TrainingConfig, environ: Mapping[str, str]
) -> list[str]:
    """Switch off what depends on chance; return what it costs, for people."""
    if kind == "CPU":
        return ["--deterministic changes nothing on a CPU: the same seed gives the same weights"]
    if backend == "jax":
        if JAX_FLAG not in environ.get("XLA_FLAGS", ""):  # read once, before anything is computed
            raise ConfigError(
                "training.deterministic = True: JAX has to know it before it starts; "
                f"set XLA_FLAGS={JAX_FLAG} in the environment"
            )
        return [f"deterministic: XLA takes slower kernels ({JAX_FLAG})"]
    if training.xla == "on":
        raise ConfigError(
            "training.xla = 'on' and training.deterministic = True exclude each other: XLA's "
            "kernels are not all deterministic; leave one of them out"
        )
    importlib.import_module("tensorflow").config.experimental.enable_op_determinism()
    return ["deterministic: slower kernels, and Keras turns XLA off with it"]


def _replicas(kind: str, backend: str, training: TrainingConfig) -> tuple[str, ...]:
    """Return the devices that share the batches; none where one computes all."""
    wanted = training.replicas
    if wanted == 1 or (wanted == "auto" and (kind != "GPU" or backend != "tensorflow")):
        return ()
    names = []
    if backend == "tensorflow":
        # More than one CPU only where a process has divided it, as tests do.
        devices = importlib.import_module("tensorflow").config.list_logical_devices(kind)
        names = [one.name for one in devices]
    if wanted == "auto":
        return tuple(names) if len(names) > 1 else ()
    if wanted > len(names):
        there = f"TensorFlow sees {len(names)} {kind}" if names else "JAX trains on one device here"
        raise ConfigError(f"training.replicas = {wanted}, but {there}; leave it out to use those")
    return tuple(names[:wanted])


def cannot_be_compiled(error: BaseException) -> bool:
    """Return whether a backend gave up because XLA has no way to compute something."""
    kinds = ("InvalidArgumentError", "UnimplementedError", "InternalError")
    return type(error).__name__ in kinds and ("XLA" in str(error) or "compil" in str(error))


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether a backend gave up because a tensor found no room."""
    return type(error).__name__ == "ResourceExhaustedError" or "RESOURCE_EXHAUSTED" in str(error)
