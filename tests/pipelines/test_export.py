"""An export is rehearsed, published whole or not at all, and can be had again."""

import errno
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tl.errors import ConfigError, ExportError, PredictionError
from tl.evaluation.measures import Question
from tl.evaluation.served import load_served_model
from tl.export.versions import list_versions


@pytest.fixture
def home(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    redirect_export: Callable[[Path, Path], None],
) -> Path:  # fmt: skip
    """A working directory with a copy of the finished run in runs/."""
    monkeypatch.chdir(tmp_path)
    run = shutil.copytree(trained.run, tmp_path / "runs" / trained.run.name)
    redirect_export(run, tmp_path / "models")
    return tmp_path


def everything(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_damaged_weights_are_not_called_a_full_disk(home: Path, trained: Any) -> None:
    from pipelines.export import export_run
    from pipelines.reopen import reopen_data

    run = home / "runs" / trained.run.name
    weights = run / "classifier.weights.h5"
    weights.write_bytes(weights.read_bytes()[:20_000])

    with pytest.raises(ExportError, match="classifier.weights.h5 is damaged or belongs to"):
        export_run(run, reopen_data(run))
    assert list_versions(home / "models" / trained.plan.name) == []


def test_what_a_killed_export_left_is_removed_and_one_under_way_is_not(tmp_path: Path) -> None:
    import os
    import time

    from tl.export.versions import LEFT_SECONDS, publish_version

    for name in ("old", "new"):
        (tmp_path / f".writing-{name}").mkdir()
        (tmp_path / f".writing-{name}" / "saved_model.pb").write_bytes(b"half")
    then = time.time() - LEFT_SECONDS - 1
    os.utime(tmp_path / ".writing-old", (then, then))

    publish_version(tmp_path, lambda folder: (folder / "saved_model.pb").touch())

    assert everything(tmp_path) == [".writing-new", "1"]


def test_rehearsal_leaves_nothing_behind(home: Path, trained: Any) -> None:
    from pipelines.export import rehearse_export

    run = home / "runs" / trained.run.name
    before = everything(run)

    rehearse_export(run)

    assert everything(run) == before
    assert not (home / "models").exists()


def test_export_again_gives_the_same_answers_as_the_next_version(
    home: Path, trained: Any, served: Any
) -> None:
    from pipelines.export import export_run
    from pipelines.reopen import reopen_data

    shutil.copytree(trained.version, home / "models" / "colours" / "1")
    run = home / "runs" / trained.run.name

    again = export_run(run, reopen_data(run))

    assert again.path == home / "models/colours/2"
    assert everything(home / "models" / "colours") == ["1", "2"]
    assert again.measured_on == "test"
    assert again.metrics["confusion"] == trained.result.exported.metrics["confusion"]
    files = [one.read() for one in trained.plan.data.pictures.examples]
    assert np.allclose(
        load_served_model(again.path).answers(files), served.answers(files), atol=1e-5
    )


def test_run_without_weights_says_so(home: Path, trained: Any) -> None:
    from pipelines.export import export_run

    run = home / "runs" / trained.run.name
    (run / "classifier.weights.h5").unlink()

    with pytest.raises(ExportError, match="has no weights: the run was stopped before"):
        export_run(run, trained.plan.data)
    assert list_versions(home / "models" / "colours") == []


def test_other_classes_than_when_trained_are_refused(
    home: Path, trained: Any, make_pictures: Callable[..., Path], tmp_path: Path
) -> None:
    from pipelines.export import export_run
    from tl.config import DataConfig
    from tl.data.prepare import prepare_data

    other = make_pictures(tmp_path / "other", {"blue": 4, "pink": 4})
    data = prepare_data(str(other), DataConfig(), seed=0, cache=None)

    with pytest.raises(ExportError, match="other classes now.*blue, pink against blue, green, red"):
        export_run(home / "runs" / trained.run.name, data)


def test_failure_after_the_model_was_written_leaves_no_version(
    home: Path, trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pipelines.export

    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pipelines.export, "_write_manifest", fail)
    with pytest.raises(ExportError, match="No space left on device"):
        pipelines.export.export_run(home / "runs" / trained.run.name, trained.plan.data)

    assert everything(home / "models" / "colours") == []


@pytest.fixture
def small_disk(home: Path) -> Iterator[Callable[[int], Path]]:
    """Function that mounts a real file system of so many KiB at ./models."""
    folder = home / "models"
    folder.mkdir()
    mounted: list[Path] = []

    def mount(kib: int) -> Path:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder)],
            capture_output=True, check=False,
        )  # fmt: skip
        if done.returncode:
            pytest.skip("mounting a small file system is not permitted here")
        mounted.append(folder)
        return folder

    yield mount
    for place in mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


# The whole model takes about 3 MB: full at the graph, at the variables, and at what comes after.
@pytest.mark.parametrize(
    "share",
    [pytest.param(0.1, marks=pytest.mark.slow), 0.6, pytest.param(0.97, marks=pytest.mark.slow)],
)
def test_full_disk_at_export_leaves_nothing_visible_and_export_works_afterwards(
    home: Path, trained: Any, small_disk: Callable[[int], Path], share: float
) -> None:
    from pipelines.export import export_run

    size = sum(one.stat().st_size for one in trained.version.rglob("*") if one.is_file())
    models = small_disk(int(share * size) // 1024)
    run = home / "runs" / trained.run.name

    with pytest.raises((ExportError, PredictionError)) as caught:
        export_run(run, trained.plan.data)

    assert isinstance(caught.value, ExportError), caught.value
    assert everything(models) in ([], ["colours"])
    assert everything(models / "colours") == []
    assert (run / "classifier.weights.h5").is_file()
    subprocess.run(["mount", "-o", "remount,size=64m", str(models)], check=True)
    assert export_run(run, trained.plan.data).path.name == "1"


def test_dataset_that_moved_is_named(home: Path, trained: Any) -> None:
    from pipelines.reopen import reopen_data

    run = home / "runs" / trained.run.name
    facts = json.loads((run / "run.json").read_text())
    facts["config"]["dataset"] = str(home / "gone")
    (run / "run.json").write_text(json.dumps(facts))

    with pytest.raises(ConfigError, match="gone"):
        reopen_data(run)


def test_pictures_that_went_bad_since_the_split_are_counted_and_not_measured(
    trained: Any, served: Any, tmp_path: Path
) -> None:
    from pipelines.measured import measure
    from tl.data.contents import Files, InMemory
    from tl.data.example import Example

    good = list(trained.plan.data.side("test"))
    cut = good[0].read()[:-40]
    odd = Example("odd.png", 0, InMemory([b"\x89PNG\r\n\x1a\nno more"]))
    gone = Example("gone.png", 0, Files(tmp_path, ["gone.png"]))
    bad = [Example("cut.jpg", 0, InMemory([cut])), odd, gone]
    names = Question("single_label", trained.plan.data.class_names)

    measured = measure(served, [bad[0], *good, *bad[1:]], names)
    nothing = measure(served, bad, names)

    assert measured.metrics["n_pictures"] == len(good)
    assert [one.key for one in measured.examples] == [one.key for one in good]
    assert measured.metrics["confusion"] == trained.result.exported.metrics["confusion"]
    assert {key for key, _ in measured.unreadable} == {"cut.jpg", "odd.png", "gone.png"}
    reasons = dict(measured.unreadable)
    assert "No such file" in reasons["gone.png"]
    assert reasons["odd.png"] == "the exported model cannot decode it"
    assert nothing.metrics == {}
    assert len(nothing.unreadable) == 3


@pytest.mark.slow
def test_hidden_layer_and_several_stages_are_exported(
    trained: Any, settings: dict[str, Any], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the head reads and how deep it is are the run's, so its export is built alike."""
    from pipelines.finetune import finetune
    from pipelines.plan import make_plan
    from tl.config_reading import read_config
    from tl.run_folder import read_record

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "unknown-scheme://store")
    changes = {"training.strategy": "stages", "model.hidden": 8, "augment.feature_views": 0}
    config = read_config(None, (), {"dataset": str(trained.dataset), **settings, **changes})
    monkeypatch.setattr("tl.training.opening.best_taps", lambda probes: (0, 2))

    result = finetune(make_plan(config))

    assert result.exported is not None
    assert read_record(result.run).taps == (0, 2)
    served = load_served_model(result.exported.path)
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)
    logits = np.asarray(result.model(images.astype(np.float32)))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(served._view_answers(images), shares, atol=1e-4)
    names = {layer.name for layer in result.model.layers}
    assert {"taps", "head_hidden", "stage_0_average"} <= names
