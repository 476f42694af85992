"""`pipelines.export` as a process of its own: a run that trained on JAX exports in TensorFlow.

    KERAS_BACKEND=tensorflow python -m pipelines.export_process export runs/...

The last line of stdout is JSON.
"""

import dataclasses
import json
import sys
from pathlib import Path

from pipelines.export import export_run, rehearse_export
from pipelines.reopen import reopen_data
from tl.errors import TlError


def main(task: str, folder: Path) -> int:
    """Run ``rehearse`` or ``export`` on a run's folder."""
    try:
        if task == "rehearse":
            rehearse_export(folder)
            sys.stdout.write("{}\n")
        else:
            exported = export_run(folder, reopen_data(folder))
            sys.stdout.write(json.dumps(dataclasses.asdict(exported), default=str) + "\n")
    except TlError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
