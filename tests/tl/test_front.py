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
    (found,) = tl.predict(again.path, [pictures / "red" / "00.jpg"])
    assert found.labels[0] in ("blue", "green", "red")
    (no_picture := tmp_path / "note.txt").write_text("no picture")
    with pytest.raises(PredictionError, match="note.txt"):
        tl.predict(again.path, [no_picture])


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
