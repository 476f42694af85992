"""Keep the best weights of a run on disk as they come, and lose none to a full disk."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

from tl.classifier import Classifier
from tl.errors import TrainingError
from tl.run_folder import WEIGHTS, read_record, write_record
from tl.training.stored_weights import save_weights

WAIT_SECONDS = 3600.0
"""For room on a full disk at the end of a run; what was trained is in memory until then."""
PAUSE_SECONDS = 2.0


class BestWeights:
    """Store a classifier whenever it is the best so far.

    Args:
        folder: of the run.
        say: receives one-line reports.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder, self._say = folder, say
        self._is_missing = False

    def __call__(self, best: Classifier) -> None:
        """Write the weights; where that fails, training goes on and the end will try again."""
        try:
            self._write(best)
        except (OSError, TrainingError) as error:
            if not self._is_missing:
                self._say(f"warning: {error}; training goes on, and its end tries again")
            self._is_missing = True
            return
        self._is_missing = False

    def finish(self, best: Classifier, wait_s: float = WAIT_SECONDS) -> None:
        """Make sure that the weights a run ended with are on disk, waiting for room.

        Raises:
            TrainingError: there was none within the time.
        """
        until = time.monotonic() + wait_s
        said = False
        while self._is_missing:
            try:
                self._write(best)
            except (OSError, TrainingError) as error:
                if time.monotonic() > until:
                    raise TrainingError(
                        f"the trained weights could not be kept: {error}"
                    ) from error
                if not said:
                    self._say(
                        f"waiting up to {wait_s / 60:.0f} minutes for room in {self._folder}, so "
                        f"that what was trained is not lost ({error})"
                    )
                said = True
                time.sleep(min(PAUSE_SECONDS, wait_s))
            else:
                self._is_missing = False

    def _write(self, best: Classifier) -> None:
        """Write the weights, and which stages their head reads."""
        record = read_record(self._folder)
        if record.taps != best.taps:
            # In this order a kill between two of them leaves no weights that the record mistakes.
            (self._folder / WEIGHTS).unlink(missing_ok=True)
            write_record(self._folder, dataclasses.replace(record, taps=best.taps))
        save_weights(best.model, self._folder / WEIGHTS)
