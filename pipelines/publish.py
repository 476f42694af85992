"""Export from a run that trains on any backend: rehearsed early, done in TensorFlow at the end."""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipelines.exported import Exported
from tl.config import EvaluationConfig
from tl.data.prepare import PreparedData
from tl.errors import ExportError
from tl.run_folder import WEIGHTS
from tl.training.devices import Device

LONG_S = 120.0
"""Of training, that an export which fails at its end would cost: 20 times what a rehearsal does."""
REHEARSAL_S, REHEARSAL_S_A_LAYER = 2.0, 0.03
"""Where there was none: MobileNet's 90 layers take 4 to 6 s here."""
SECONDS_A_MEASURED_PICTURE = 0.01
"""Through the exported model; less on most machines."""
VIEWS_A_CORRUPTED_PICTURE = 16
PARITY_S = 10.0
"""Of a fresh process and its server, beside what is done meanwhile."""
_REHEARSAL = "rehearse export"


class Stopwatch:
    """Wall seconds by stage; what a stage within another took is its own."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Count the time of a block."""
        began, before = time.perf_counter(), sum(self.seconds.values())
        try:
            yield
        finally:  # what another stage within this one took is that one's
            within = sum(self.seconds.values()) - before
            self.seconds[stage] = round(time.perf_counter() - began - within, 2)


class Rehearsal:
    """Go through the export once, before training that is long: it cannot fail at its end.

    Not before the first usable model, which would come seconds later; and not at all where the
    export itself is near, as it would cost more than it could save.
    """

    def __init__(
        self,
        folder: Path,
        device: Device,
        say: Callable[[str], None],
        stopwatch: Stopwatch,
        n_layers: int,
        is_done: bool,
    ) -> None:
        self._folder, self._device, self._say = folder, device, say
        self._stopwatch, self._is_done = stopwatch, is_done
        self._guess_s = REHEARSAL_S + n_layers * REHEARSAL_S_A_LAYER

    def __call__(self, expected_s: float) -> None:
        """Do it, the first time that so many seconds of training are to come."""
        # Without room on the disk there may be no weights yet; training goes on, and so must this.
        has_weights = (self._folder / WEIGHTS).is_file()
        if expected_s >= LONG_S and has_weights and not self._is_done:
            self._is_done = True
            with self._stopwatch(_REHEARSAL):
                _rehearse(self._folder, self._device, self._say)

    def seconds_of_export(self, n_pictures: int, evaluation: EvaluationConfig) -> float:
        """Estimate how long export, looks at the model and tracking will take.

        Args:
            n_pictures: that it is measured on.
            evaluation: how it is looked at.
        """
        rehearsed = self._stopwatch.seconds.get(_REHEARSAL, self._guess_s)
        views = n_pictures + VIEWS_A_CORRUPTED_PICTURE * min(n_pictures, evaluation.robustness)
        checked = PARITY_S if evaluation.parity else 0.0
        return 2 * rehearsed + views * SECONDS_A_MEASURED_PICTURE + checked + 3.0


def _rehearse(folder: Path, device: Device, say: Callable[[str], None]) -> None:
    if device.backend == "tensorflow":
        from pipelines.export import rehearse_export

        rehearse_export(folder)
    else:
        _in_tensorflow(folder, "rehearse", say)


def export_somewhere(
    folder: Path, data: PreparedData, device: Device, say: Callable[[str], None]
) -> Exported | None:
    """Publish a run's model, in this process or in one that has TensorFlow.

    Returns:
        None where this machine has none.
    """
    if device.backend == "tensorflow":
        from pipelines.export import export_run

        return export_run(folder, data)
    answer = _in_tensorflow(folder, "export", say)
    if answer is None:
        return None
    unreadable = tuple((key, why) for key, why in answer["unreadable"])
    return Exported(
        Path(answer["path"]),
        answer["measured_on"],
        answer["metrics"],
        unreadable,
        data.problem,
    )


def _in_tensorflow(folder: Path, task: str, say: Callable[[str], None]) -> Any:
    """Run a step of `pipelines.export` in a process with the TensorFlow backend."""
    if importlib.util.find_spec("tensorflow") is None:
        say(f"TensorFlow is absent: no SavedModel is written here; on a machine with it: "
            f"tl export {folder}")  # fmt: skip
        return None
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.export_process", task, str(folder)],
        env={**os.environ, "KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ExportError(done.stderr.strip().splitlines()[-1] if done.stderr else "export failed")
    return json.loads(done.stdout.splitlines()[-1])
