"""`kill -9` in the middle of a promotion, before each change of a file."""

import json
import subprocess
import sys
from pathlib import Path

from tests.tl.tracking.small_runs import write_version

PROMOTE = """
import json, os, signal, shutil, sys
from pathlib import Path
import pipelines.promote as promotion
from tl.errors import TrackingError
from tl.promotion import owed_aliases, read_history, read_journal, read_labels

def away(*arguments):
    raise TrackingError("away")

def kill_before(change):
    left = [change]
    def watched(real):
        def call(*arguments, **options):
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return real(*arguments, **options)
        return call
    for name in ("replace", "rename", "unlink"):
        setattr(os, name, watched(getattr(os, name)))

promotion._set_alias = away
found, change, ended = [], 0, False
while not ended:
    models = Path(f"models-{change}")
    shutil.copytree("models", models)
    promotion.promote(str(models / "pets" / "1"), "champion")
    if not (child := os.fork()):
        kill_before(change)
        promotion.promote(str(models / "pets" / "2"), "champion")
        os._exit(0)
    ended = os.waitpid(child, 0)[1] == 0
    at_once = read_labels(models)["pets"]["champion"]
    said = []
    promotion.finish_interrupted(models, said.append, tell_store=False)
    found.append({
        "at_once": at_once,
        "label": read_labels(models)["pets"]["champion"],
        "journal": read_journal(models) is not None,
        "history": [one.version for one in read_history(models)],
        "owed": [one.version for one in owed_aliases(models)],
        "said": said,
    })
    change += 1
print(json.dumps(found))
"""


def test_promotion_that_is_killed_anywhere_is_finished_or_had_not_begun(tmp_path: Path) -> None:
    for number in "12":
        write_version(tmp_path / "models" / "pets" / number)
    done = subprocess.run(
        [sys.executable, "-c", PROMOTE], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    first, *others = json.loads(done.stdout)

    assert len(others) > 4  # changes: the journal, the labels, what is owed, the history, its end
    untouched = {"at_once": 1, "label": 1, "journal": False, "history": [1], "owed": [1]}
    assert first == {**untouched, "said": []}
    for one in others:
        finished = {"label": 2, "journal": False, "history": [1, 2], "owed": [2]}
        assert {key: one[key] for key in finished} == finished
    words = "finished an interrupted promotion: pets 2 is champion"
    assert [one["said"] for one in others[:-1]] == [[words]] * (len(others) - 1)
    assert others[-1]["said"] == []
    assert [one["at_once"] for one in others] == sorted(one["at_once"] for one in others)
