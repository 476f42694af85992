"""What the machine does while a run trains, by the names of MLflow's "System metrics" tab."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil

EVERY_S = 10.0
MEGABYTE = 1e6


@contextlib.contextmanager
def system_metrics(
    tell: Callable[[Mapping[str, float], int], None], folder: Path, every_s: float = EVERY_S
) -> Iterator[None]:
    """Measure from time to time while a block runs.

    Args:
        tell: receives the figures and the second, on a thread of its own. Seconds of the clock and
            no count: a run that goes on after it was killed goes on behind its earlier figures.
        folder: on the disk that is looked at.
        every_s: seconds between two measurements; shorter blocks have one, at their end.
    """
    stop = threading.Event()
    began = psutil.net_io_counters()
    psutil.cpu_percent()  # counts from here

    def watch() -> None:
        goes_on = True
        while goes_on:
            goes_on = not stop.wait(every_s)
            with contextlib.suppress(OSError, psutil.Error):
                tell(measure(folder, began), int(time.time()))

    thread = threading.Thread(target=watch, name="system metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(5)


def measure(folder: Path, began: object) -> dict[str, float]:
    """Return the figures of now, in percent and megabytes.

    Args:
        folder: on the disk that is looked at.
        began: counters of the network, from which bytes are counted.
    """
    memory, disk = psutil.virtual_memory(), psutil.disk_usage(str(folder))
    network = psutil.net_io_counters()
    figures = {
        "cpu_utilization_percentage": psutil.cpu_percent(),
        "system_memory_usage_megabytes": memory.used / MEGABYTE,
        "system_memory_usage_percentage": memory.percent,
        "process_memory_megabytes": psutil.Process().memory_info().rss / MEGABYTE,
        "disk_usage_percentage": disk.percent,
        "disk_available_megabytes": disk.free / MEGABYTE,
    }
    for name, key in (("receive", "bytes_recv"), ("transmit", "bytes_sent")):
        if network is not None and began is not None:
            moved = getattr(network, key) - getattr(began, key)
            figures[f"network_{name}_megabytes"] = moved / MEGABYTE
    figures |= _gpus()
    return {f"system/{name}": float(value) for name, value in figures.items()}


def _gpus() -> dict[str, float]:
    """Return use and memory of NVIDIA's GPUs, where its Python package is installed."""
    try:
        import pynvml
    except ImportError:
        return {}
    figures = {}
    with contextlib.suppress(pynvml.NVMLError):
        pynvml.nvmlInit()
        for number in range(pynvml.nvmlDeviceGetCount()):
            gpu = pynvml.nvmlDeviceGetHandleByIndex(number)
            memory = pynvml.nvmlDeviceGetMemoryInfo(gpu)
            used = pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu
            figures[f"gpu_{number}_utilization_percentage"] = used
            figures[f"gpu_{number}_memory_usage_megabytes"] = memory.used / MEGABYTE
            figures[f"gpu_{number}_memory_usage_percentage"] = 100 * memory.used / memory.total
    return figures
