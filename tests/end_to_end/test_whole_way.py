"""From a folder of pictures to answers over HTTP and gRPC, with the commands that users type."""

import http.client
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
TL = str(Path(sys.executable).with_name("tl"))
FLAGS = ["--backbone", "tl_small", "--image-size", "32", "--epochs", "1", "--batch-size", "8",
         "--set", "augment.feature_views=0"]  # fmt: skip
# Without the looks at the model, which take longest.
BRIEF = [*FLAGS, "--set", "evaluation.parity=0", "--set", "evaluation.robustness=0",
         "--set", "evaluation.suspects=false"]  # fmt: skip


def run(*words: str | Path, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TL, *map(str, words)], cwd=cwd, env={**os.environ, **environ},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def record(folder: Path) -> dict[str, Any]:
    (path,) = (folder / "runs").glob("*/run.json")
    facts: dict[str, Any] = json.loads(path.read_text())
    return facts


@pytest.fixture(scope="module")
def home(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory in which `tl finetune` was typed."""
    folder = tmp_path_factory.mktemp("by_hand")
    done = run("finetune", "--dataset", pictures, "--name", "flowers", *FLAGS, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "model     models/flowers/1" in done.stdout
    assert "measured on the exported model" in done.stdout
    assert "warning" not in done.stderr.lower()
    assert "Traceback" not in done.stderr
    return folder


@pytest.fixture
def server(home: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    log = (home / "server.log").open("w")
    process = subprocess.Popen(
        [TL, "serve", "models/flowers", "--port", "0", "--rest-api-port", "0",
         "--file_system_poll_wait_seconds=0.5"],
        cwd=home, stdout=subprocess.PIPE, stderr=log, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    addresses = dict(process.stdout.readline().split() for _ in range(2))
    yield process, addresses
    if process.poll() is None:
        process.kill()
        process.wait()
    process.stdout.close()
    log.close()


def labels_and_version(home: Path, target: str, files: list[Path]) -> list[list[str]]:
    done = run("predict", target, *files, "--json", cwd=home)
    assert done.returncode == 0, done.stderr
    return [row["labels"] for row in json.loads(done.stdout)]


def test_folder_to_served_answers_and_a_new_version_without_a_restart(
    home: Path, pictures: Path, server: tuple[subprocess.Popen[str], dict[str, str]]
) -> None:
    import urllib.request

    process, addresses = server
    files = [pictures / name / "00.jpg" for name in ("blue", "green", "red")]
    local = labels_and_version(home, "models/flowers", files)
    assert {len(row) for row in local} == {3}

    rest, grpc = addresses["REST"], addresses["gRPC"]
    assert labels_and_version(home, f"{rest}/flowers", files) == local
    assert labels_and_version(home, f"grpc://{grpc}/flowers", files) == local

    done = run("export", record(home)["id"], cwd=home)
    assert done.returncode == 0, done.stderr
    assert "models/flowers/2" in done.stdout
    root = re.match(r"http://[^/]+", rest)
    assert root
    end_s = time.monotonic() + 60
    while True:
        with urllib.request.urlopen(f"{root[0]}/v1/models/flowers", timeout=10) as response:
            states = json.loads(response.read())["model_version_status"]
        if {one["version"]: one["state"] for one in states}.get("2") == "AVAILABLE":
            break
        assert time.monotonic() < end_s, states
        time.sleep(0.2)
    assert labels_and_version(home, f"{rest}/flowers", files) == local

    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def test_first_request_after_a_roll_out_is_as_fast_as_the_next(
    home: Path, pictures: Path, server: tuple[subprocess.Popen[str], dict[str, str]]
) -> None:
    connection = http.client.HTTPConnection(server[1]["REST"].removeprefix("http://"))
    picture = (pictures / "red" / "00.jpg").read_bytes()

    def ask() -> tuple[str, float]:
        began_s = time.perf_counter()
        connection.request("POST", "/v1/models/flowers:predict", picture)
        response = connection.getresponse()
        response.read()
        assert response.status == 200
        return str(response.headers["X-Model-Version"]), time.perf_counter() - began_s

    shutil.copytree(home / "models" / "flowers" / "1", home / "next")
    (home / "next").rename(home / "models" / "flowers" / "9")
    end_s = time.monotonic() + 60
    times: list[float] = []
    while len(times) < 30:
        version, took_s = ask()
        if version == "9":
            times.append(took_s)
        assert time.monotonic() < end_s
    connection.close()

    # Without the requests that the export has recorded, the first takes more than a second.
    first_s, *others = times
    assert first_s < 0.05 + 5 * statistics.median(others), times


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGINT, marks=pytest.mark.soak), signal.SIGTERM]
)
def test_run_stopped_in_training_is_kept_and_names_the_command_to_go_on(
    number: signal.Signals, pictures: Path, tmp_path: Path
) -> None:
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        process = subprocess.Popen(
            [TL, "finetune", "--dataset", str(pictures), "--name", "flowers", *BRIEF,
             "--strategy", "last", "--epochs", "100000", "--set", "training.patience=100000"],
            cwd=tmp_path, stdout=out, stderr=err, text=True,
            # Shells make what they start in the background ignore Ctrl-C; the tests may be that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
        end_s = time.monotonic() + 120
        while "fine-tune last  " not in (tmp_path / "err").read_text():
            assert process.poll() is None, (tmp_path / "err").read_text()
            assert time.monotonic() < end_s
            time.sleep(0.2)
        process.send_signal(number)
        assert process.wait(90) == 1
    lines = (tmp_path / "err").read_text().splitlines()
    facts = record(tmp_path)

    assert lines[-1].startswith("error: stopped: the best weights so far are kept")
    assert f"tl export runs/{facts['id']}" in lines[-1]
    assert not [line for line in lines if "Traceback" in line or "Exception" in line]
    assert facts["state"] == "stopped"

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("flowers").experiment_id
    (its_run,) = client.search_runs([experiment])
    assert its_run.info.status == "KILLED"
    assert not (tmp_path / "models" / "flowers").exists()

    done = run("export", facts["id"], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "models" / "flowers" / "1" / "saved_model.pb").is_file()


def test_jax_trains_and_ends_with_a_saved_model(pictures: Path, tmp_path: Path) -> None:
    pytest.importorskip("jax")

    done = run("finetune", "--dataset", pictures, "--name", "flowers", *BRIEF,
               cwd=tmp_path, KERAS_BACKEND="jax", JAX_PLATFORMS="cpu")  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "JAX" in done.stderr
    facts = record(tmp_path)
    assert facts["device"].endswith("jax")
    assert facts["state"] == "finished"
    manifest = tmp_path / "models" / "flowers" / "1" / "assets.extra" / "tl.json"
    metrics = json.loads(manifest.read_text())["metrics"]
    assert f"accuracy  {metrics['top_1_accuracy']:.3f}" in done.stdout
    assert metrics["top_1_accuracy"] > 0.4  # it learned: one in three by chance
    answer = run("predict", "models/flowers", pictures / "red" / "00.jpg", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    shutil.rmtree(tmp_path / "models")


def test_machine_without_tensorflow_ends_with_weights_to_export_elsewhere(
    pictures: Path, tmp_path: Path
) -> None:
    pytest.importorskip("jax")
    # As on a machine where TensorFlow was never installed: neither found nor imported.
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "from importlib.machinery import PathFinder\n"
        "find = PathFinder.find_spec\n"
        "def without(name, path=None, target=None):\n"
        "    absent = name.split('.')[0] == 'tensorflow'\n"
        "    return None if absent else find(name, path, target)\n"
        "PathFinder.find_spec = staticmethod(without)\n"
    )
    home = tmp_path / "home"
    home.mkdir()

    done = run("finetune", "--dataset", pictures, "--name", "flowers", *BRIEF, cwd=home,
               KERAS_BACKEND="jax", JAX_PLATFORMS="cpu", PYTHONPATH=str(hidden))  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "TensorFlow is absent: no SavedModel is written here" in done.stderr
    facts = record(home)
    assert facts["state"] == "finished"
    assert not (home / "models" / "flowers").exists()
    exported = run("export", facts["id"], cwd=home)  # a machine that has it
    assert exported.returncode == 0, exported.stderr
    assert (home / "models" / "flowers" / "1" / "saved_model.pb").is_file()


@pytest.mark.soak
def test_batch_size_by_trial_and_determinism_say_what_they_do(
    pictures: Path, tmp_path: Path
) -> None:
    done = run("finetune", "--dataset", pictures, "--name", "flowers", *BRIEF, "--strategy", "last",
               "--batch-size", "auto", "--deterministic", cwd=tmp_path)  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "--deterministic changes nothing on a CPU" in done.stderr
    chosen = "batch size 16: with more pictures an update an epoch would have fewer than 16 updates"
    assert chosen in done.stderr
    (log,) = (tmp_path / "runs").glob("*/log.txt")
    assert chosen in log.read_text()
    assert record(tmp_path)["config"]["training"]["batch_size"] == "auto"


@pytest.mark.slow
def test_table_of_bytes_with_few_shots_goes_the_whole_way(pictures: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = sorted(pictures.rglob("*.jpg"))
    columns = {
        "bytes": [file.read_bytes() for file in files],
        "species": [file.parent.name for file in files],
        "group": [f"{file.parent.name} {number // 2}" for number, file in enumerate(files)],
    }
    pq.write_table(pa.table(columns), tmp_path / "flowers.parquet")
    place = ("--dataset", tmp_path / "flowers.parquet", "--set", "data.label_column=species")

    done = run("finetune", *place, *BRIEF, "--shots", "4", "--cache", "disk",
               "--set", "training.balance=sampling", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "(12 train," in done.stdout

    measured = run("evaluate", "models/flowers", *place, "--json", cwd=tmp_path)
    assert measured.returncode == 0, measured.stderr
    figures = json.loads(measured.stdout)
    assert "stored test split" in figures["measured_on"]
    assert figures["top_1_accuracy"] == pytest.approx(
        record(tmp_path)["outcome"]["metrics"]["top_1_accuracy"]
    )
    again = run("export", record(tmp_path)["id"], cwd=tmp_path)
    assert again.returncode == 0, again.stderr
