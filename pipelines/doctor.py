"""What works on this machine, what does not, and why."""

import importlib.metadata
import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tl.data.inspect import cache_folder
from tl.tracking import default_store
from tl.zoo.backbones import BACKBONES
from tl.zoo.weights import keras_cache, weights_at_hand

PACKAGES = ("tl", "tl-serving", "tensorflow", "keras", "grain", "albumentations",
            "opencv-python-headless", "mlflow", "grpcio", "tensorflow-serving-api")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the diagnosis.

    Attributes:
        subject: what was looked at.
        state: ``ok``, ``note`` (works with a limit) or ``fault`` (will not work).
        words: what was seen, and what to do.
    """

    subject: str
    state: Literal["ok", "note", "fault"]
    words: str


def examine() -> Iterator[Finding]:
    """Look at versions, devices, memory, disk, caches, store and ports; TensorFlow comes last."""
    yield _python()
    yield from map(_package, PACKAGES)
    yield _memory()
    yield _disk()
    yield from _caches()
    yield _store()
    yield from (_port(number, use) for number, use in ((8500, "gRPC"), (8501, "REST"),
                                                       (5000, "tl experiments")))  # fmt: skip
    yield _tensorflow()
    yield _jax()


def _python() -> Finding:
    version = platform.python_version()
    if (3, 11) <= sys.version_info < (3, 14):
        return Finding("python", "ok", version)
    return Finding("python", "fault", f"{version}: TensorFlow has wheels for 3.11 to 3.13 only")


def _package(name: str) -> Finding:
    try:
        return Finding(name, "ok", importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "fault", "not installed; run `make run` or install requirements")


def _memory() -> Finding:
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    words = f"{free:.1f} GiB free, {os.cpu_count()} cores"
    if free < 3:
        return Finding("memory", "note", f"{words}; training needs about 3 GiB")
    return Finding("memory", "ok", words)


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    words = f"{free:.1f} GiB free in {Path.cwd()}"
    if free < 1:
        return Finding("disk", "note", f"{words}; a run and its export may not fit")
    return Finding("disk", "ok", words)


def _caches() -> Iterator[Finding]:
    for subject, folder in (("tl cache", cache_folder()), ("keras cache", keras_cache(os.environ))):
        place = folder
        while not place.exists():
            place = place.parent
        if os.access(place, os.W_OK):
            yield Finding(subject, "ok", str(folder))
        else:
            variable = "TL_CACHE_DIR" if subject == "tl cache" else "KERAS_HOME"
            yield Finding(subject, "note", f"{folder} is not writable; set {variable}")
    here = [name for name, row in BACKBONES.items() if weights_at_hand(row)]
    yield Finding("weights", "ok" if here else "note", f"here: {', '.join(here) or 'none'}")


def _store() -> Finding:
    store = default_store()
    if store.artifacts is not None and not os.access(Path.cwd(), os.W_OK):
        return Finding("experiments", "fault", f"{Path.cwd()} is not writable; set "
                       "MLFLOW_TRACKING_URI or work elsewhere")  # fmt: skip
    return Finding("experiments", "ok", store.uri)


def _port(number: int, use: str) -> Finding:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError as error:
            words = f"{error.strerror}: pass another port ({use})"
            return Finding(f"port {number}", "note", words)
    return Finding(f"port {number}", "ok", f"free ({use})")


def _tensorflow() -> Finding:
    try:
        import tensorflow as tf

        product = float(tf.reduce_sum(tf.ones([64, 64]) @ tf.ones([64, 64])))
        gpus = tf.config.list_physical_devices("GPU")
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it is the diagnosis
        return Finding("tensorflow runs", "fault", f"{type(error).__name__}: {error}")
    if product != 64.0**3:
        return Finding("tensorflow runs", "fault", f"a matrix product is wrong: {product}")
    if gpus:
        return Finding("tensorflow runs", "ok", f"on {len(gpus)} GPU(s)")
    reason = "no NVIDIA driver"
    if Path("/proc/driver/nvidia").exists():
        reason = "the driver is there, but not TensorFlow's CUDA libraries: install tl[gpu]"
    return Finding("tensorflow runs", "note", f"on the CPU only ({reason})")


def _jax() -> Finding:
    try:
        return Finding(
            "jax", "ok", f"{importlib.metadata.version('jax')} (KERAS_BACKEND=jax works)"
        )
    except importlib.metadata.PackageNotFoundError:
        return Finding("jax", "note", "not installed; only needed for KERAS_BACKEND=jax")
