"""What a notebook imports: the same names and settings as the command line's."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tl
from tl.errors import ConfigError, PredictionError


def test_front_has_its_functions_and_imports_nothing_slow() -> None:
    code = (
        "import sys, tl; print([n for n in ('tensorflow', 'keras', 'mlflow') if n in sys.modules])"
    )

    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert out.stdout.strip() == "[]"
    assert all(callable(getattr(tl, name)) for name in tl.__all__)


@pytest.mark.slow
def test_notebook_gets_a_plain_model_metrics_and_paths(
    pictures: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "unknown-scheme://store")
    said: list[str] = []
    short = {key.rpartition(".")[2]: value for key, value in settings.items()}

    result = tl.finetune(pictures, **short, say=said.append)

    assert type(result.model).__module__.startswith("keras")
    answer = result.model.predict(np.zeros((2, 32, 32, 3), np.uint8), verbose=0)
    assert answer.shape == (2, 3)
    # Nothing of tl is needed to load it.
    result.model.save("model.keras")
    code = (
        "import sys, keras, numpy as np; m = keras.models.load_model('model.keras');"
        "assert not [n for n in sys.modules if n.split('.')[0] == 'tl'];"
        "print(repr(m.predict(np.zeros((2, 32, 32, 3), np.uint8), verbose=0)[0].tolist()))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = json.loads(out.stdout.splitlines()[-1])
    assert loaded == pytest.approx(answer[0].tolist(), abs=1e-5)
    assert result.exported is not None
    assert (result.exported.path / "saved_model.pb").is_file()
    assert result.exported.metrics["n_pictures"] > 0
    assert (result.run / "run.json").is_file()
    assert any("training on CPU" in line for line in said)
    measured = tl.evaluate(result.exported.path, pictures)
    assert measured.metrics["n_pictures"] == result.exported.metrics["n_pictures"]
    averaged = tl.evaluate(result.exported.path, pictures, tta="ten-crop")
    assert averaged.metrics["log_loss"] != measured.metrics["log_loss"]
    again = tl.export_run(result.run)
    assert again.path == result.exported.path.with_name("2")
    (found,) = tl.predict(again.path, pictures / "red" / "00.jpg")
    assert found.labels[0] in ("blue", "green", "red")
    (no_picture := tmp_path / "note.txt").write_text("no picture")
    with pytest.raises(PredictionError, match="note.txt"):
        tl.predict(again.path, [no_picture])


def test_notebook_looks_at_pictures_before_training(
    pictures: Path, make_pictures: Any, tmp_path: Path
) -> None:
    (make_pictures(tmp_path / "some", {"cats": 5, "dogs": 4}) / "cats" / "bad.jpg").write_bytes(b"")

    report = tl.check(tmp_path / "some", html=tmp_path / "page.html", fix=tmp_path / "left.csv")

    assert report.count("error") >= 1
    assert "bad.jpg" in (tmp_path / "page.html").read_text()
    assert len((tmp_path / "left.csv").read_text().splitlines()) == 1 + 9
    with pytest.raises(ConfigError, match="page.html is there already"):
        tl.check(tmp_path / "some", html=tmp_path / "page.html")
    sheet = tl.contact_sheet(pictures, tmp_path / "s.png", recipe="strong", image_size=32)
    assert (sheet.recipe, sheet.path.read_bytes()[:4]) == ("strong", b"\x89PNG")


def test_notebook_reads_a_file_of_settings_and_its_own_win(
    pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "own.toml"
    file.write_text('[augment]\nrecipe = "light"\n[training]\nstrategy = "wrong"\n')

    with pytest.raises(ConfigError, match="training.strategy = 'wrong'"):
        tl.finetune(pictures, config=file)
    file.write_text("[model]\nimage_size = 24\n")
    with (
        caplog.at_level("WARNING", "tl"),
        pytest.raises(ConfigError, match="24 x 24|24"),
    ):
        tl.finetune(pictures, config=file, backbone="tl_small", strategy="features", epochs=3)
    assert "training.epochs = 3: no effect with strategy features" in caplog.text


@pytest.mark.soak
def test_notebook_resumes_with_other_settings_only_if_forced(
    pictures: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tl.errors import Interrupted
    from tl.training.progress import Silent

    class StopInTheFirstEpoch(Silent):
        def step_done(self, phase: str, epoch: int, step: int, images: int) -> None:
            if phase.startswith("fine-tune"):
                raise KeyboardInterrupt

    from pipelines.finetune import finetune
    from pipelines.plan import make_plan
    from tl.config_reading import read_config

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "unknown-scheme://store")
    plan = make_plan(read_config(None, (), {"dataset": str(pictures), **settings}))
    with pytest.raises(Interrupted):
        finetune(plan, StopInTheFirstEpoch(), lambda line: None)
    (run,) = Path("runs").iterdir()

    with pytest.raises(ConfigError, match="training.epochs was 2 and is 3"):
        tl.resume(run.name, epochs=3)
    result = tl.resume(run.name, epochs=3, force=True)
    assert [one.epoch for one in result.records if one.phase.startswith("fine")] == [1, 2, 3]


def test_unknown_setting_is_named() -> None:
    with pytest.raises(ConfigError, match="unknown setting 'epoch'; did you mean 'epochs'"):
        tl.finetune("digits", epoch=3)


@pytest.mark.parametrize("budget", ["soon", "0s", "-5"])
def test_time_that_is_none_is_refused(budget: str) -> None:
    with pytest.raises(ConfigError, match="time_budget '"):
        tl.finetune("digits", time_budget=budget)
    with pytest.raises(ConfigError, match="time_budget '"):
        tl.choose("digits", time_budget=budget)


@pytest.mark.slow
def test_notebook_chooses_among_what_is_here(
    pictures: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("TL_WEIGHTS_DIR", raising=False)
    said: list[str] = []

    choice = tl.choose(str(pictures), image_size=32, time_budget="2m", say=said.append)

    assert choice.ranking.recommended == "tl_small"
