"""What the commands say of a model that was really trained."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.fixture
def home(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    redirect_export: Callable[[Path, Path], None], copy_store: Callable[[Path], None],
) -> Path:  # fmt: skip
    """A copy of the finished run's working directory."""
    folder = Path(shutil.copytree(trained.home, tmp_path / "home"))
    copy_store(folder)
    redirect_export(folder / "runs" / trained.run.name, folder / "models")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def some_files(trained: Any) -> list[Path]:
    return [trained.dataset / name / "00.jpg" for name in ("blue", "green", "red")]


@pytest.fixture
def answers(served: Any, some_files: list[Path]) -> list[list[str]]:
    rows = served.predict([file.read_bytes() for file in some_files])["labels"]
    return [[label.decode() for label in row] for row in rows]


def test_predict_prints_a_table(
    tl: Run, trained: Any, some_files: list[Path], answers: list[list[str]]
) -> None:
    done = tl("predict", trained.version, *some_files)

    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert len(lines) == 3
    for line, file, labels in zip(lines, some_files, answers, strict=True):
        assert line.split()[0] == str(file)
        assert line.split()[1::2] == labels


def test_predict_prints_json_for_the_newest_version(
    tl: Run, trained: Any, some_files: list[Path], answers: list[list[str]]
) -> None:
    done = tl("predict", trained.version.parent, *some_files, "--json")

    rows = json.loads(done.out)
    assert [row["file"] for row in rows] == [str(file) for file in some_files]
    assert [row["labels"] for row in rows] == answers
    assert all(sum(row["scores"]) == pytest.approx(1, abs=1e-4) for row in rows)


def test_evaluate_takes_the_stored_test_split(tl: Run, trained: Any) -> None:
    done = tl("evaluate", trained.version.parent, "--dataset", trained.dataset, "--json")

    facts = json.loads(done.out)
    metrics = trained.result.exported.metrics
    assert facts["measured_on"] == f"the stored test split, {metrics['n_pictures']} pictures"
    assert facts["top_1_accuracy"] == metrics["top_1_accuracy"]
    assert facts["confusion"] == metrics["confusion"]


@pytest.mark.parametrize("tta", ["ten-crop", "multi-scale"])
def test_evaluate_averages_over_views(tl: Run, trained: Any, served: Any, tta: str) -> None:
    done = tl("evaluate", trained.version, "--dataset", trained.dataset, "--tta", tta, "--json")

    facts = json.loads(done.out)
    metrics = trained.result.exported.metrics
    assert facts["tta"] == tta
    assert facts["n_pictures"] == metrics["n_pictures"]
    assert facts["log_loss"] != metrics["log_loss"]
    assert facts["top_1_accuracy"] == pytest.approx(metrics["top_1_accuracy"], abs=0.4)


def test_average_over_the_centre_view_alone_is_the_plain_answer(trained: Any, served: Any) -> None:
    from tl.augment.tta import views_of
    from tl.data.decode import decode_picture
    from tl.data.resize import centre_view

    files = [file.read_bytes() for file in sorted(trained.dataset.glob("*/0*.jpg"))]

    averaged = served.mean_answers(
        files, lambda data: views_of(decode_picture(data), (32, 32), "none", centre_view)
    )

    assert averaged == pytest.approx(served.answers(files), abs=0.005)


def test_unknown_test_time_augmentation_is_refused(tl: Run, trained: Any) -> None:
    done = tl("evaluate", trained.version, "--dataset", trained.dataset, "--tta", "twenty")

    assert done.code == 2
    assert "'none', 'ten-crop', 'multi-scale'" in done.error


def test_evaluate_prints_a_table(tl: Run, trained: Any) -> None:
    done = tl("evaluate", trained.version, "--dataset", trained.dataset)

    assert "the stored test split" in done.out
    accuracy = trained.result.exported.metrics["top_1_accuracy"]
    assert f"top_1_accuracy   {accuracy:.4f}" in done.out
    for name in trained.plan.data.class_names:
        assert f"\n{name} " in done.out


def new_pictures(folder: Path, make_picture: Any, classes: tuple[str, ...]) -> Path:
    from PIL import Image

    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(500, 503):
            Image.fromarray(make_picture(label, number)).save(folder / name / f"{number}.png")
    return folder


def test_evaluate_takes_the_test_folder_of_another_dataset(
    tl: Run, trained: Any, make_picture: Any, tmp_path: Path
) -> None:
    new_pictures(tmp_path / "new" / "test", make_picture, ("blue", "green", "red"))
    shutil.copytree(trained.dataset, tmp_path / "new" / "train")

    done = tl("evaluate", trained.version, "--dataset", tmp_path / "new")

    assert "the test/ folder, 9 pictures" in done.out, done.err


def test_evaluate_takes_all_new_pictures(
    tl: Run, trained: Any, make_picture: Any, tmp_path: Path
) -> None:
    # Fewer classes, so other labels: names decide.
    folder = new_pictures(tmp_path / "new", make_picture, ("blue", "green"))

    done = tl("evaluate", trained.version, "--dataset", folder, "--json")

    facts = json.loads(done.out)
    assert facts["measured_on"] == "all 6 pictures"
    assert facts["per_class"]["green"]["n_pictures"] == 3
    assert facts["per_class"]["red"]["n_pictures"] == 0


def test_evaluate_refuses_training_pictures_unless_told(
    tl: Run, trained: Any, make_picture: Any, tmp_path: Path
) -> None:
    folder = new_pictures(tmp_path / "mixed", make_picture, ("blue", "green", "red"))
    seen = trained.plan.data.side("train")[0]
    shutil.copy(seen.path, folder / seen.key.split("/")[0] / "seen.jpg")

    refused = tl("evaluate", trained.version, "--dataset", folder)
    allowed = tl("evaluate", trained.version, "--dataset", folder, "--allow-seen")

    assert refused.code == 1
    assert "trained or chosen with 1 of all 10 pictures" in refused.error
    assert "seen.jpg" in refused.error
    assert "--allow-seen" in refused.error
    assert allowed.code == 0


def test_evaluate_refuses_classes_that_the_model_does_not_know(
    tl: Run, trained: Any, make_picture: Any, tmp_path: Path
) -> None:
    folder = new_pictures(tmp_path / "new", make_picture, ("blue", "gren"))

    done = tl("evaluate", trained.version, "--dataset", folder)

    assert done.code == 1
    assert "no class 'gren'; did you mean 'green'" in done.error


def test_export_publishes_the_next_version_with_the_same_answers(
    tl: Run, home: Path, trained: Any, some_files: list[Path]
) -> None:
    done = tl("export", trained.run.name[:15])

    assert done.code == 0, done.err
    assert "model     models/colours/2" in done.out
    accuracy = trained.result.exported.metrics["top_1_accuracy"]
    assert f"accuracy  {accuracy:.3f}" in done.out
    rows = [
        json.loads(tl("predict", f"models/colours/{version}", *some_files, "--json").out)
        for version in (1, 2)
    ]
    assert [row["labels"] for row in rows[0]] == [row["labels"] for row in rows[1]]
    for one, other in zip(*rows, strict=True):
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-5)


def test_export_from_another_folder_lands_beside_the_earlier_version(
    tl: Run, home: Path, trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    done = tl("export", home / "runs" / trained.run.name)

    assert done.code == 0, done.err
    assert (home / "models" / "colours" / "2" / "saved_model.pb").is_file()
    assert not list(elsewhere.iterdir())


def test_predict_answers_for_the_good_pictures_and_names_the_bad(
    tl: Run, home: Path, trained: Any, some_files: list[Path], tmp_path: Path
) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("this is text")

    done = tl("predict", "models/colours", text, some_files[0])

    assert done.code == 1
    assert str(some_files[0]) in done.out
    assert f"error: {text}: not a picture" in done.err


def test_track_sync_of_a_run_that_was_sent_names_it_and_sends_nothing(
    tl: Run, home: Path, trained: Any
) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("colours").experiment_id

    done = tl("track", "sync", trained.run.name)

    (run,) = client.search_runs([experiment])
    assert done.code == 0, done.err
    assert f"in MLflow run {run.info.run_id}" in done.out


def test_doctor_finds_this_machine_well(tl: Run) -> None:
    done = tl("doctor", "--json")

    findings = {one["subject"]: one for one in json.loads(done.out)}
    assert done.code == 0, [one for one in findings.values() if one["state"] == "fault"]
    assert {"python", "tensorflow", "memory", "disk", "weights", "tensorflow runs"} <= set(findings)
    assert {one["state"] for one in findings.values()} <= {"ok", "note"}
    assert "tl_small" in findings["weights"]["words"]


def test_doctor_prints_a_line_for_every_finding(tl: Run) -> None:
    lines = tl("doctor").out.splitlines()

    assert len(lines) > 15
    assert all(line.split()[0] in ("ok", "note", "fault") for line in lines)
