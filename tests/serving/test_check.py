"""`--check` says what would be served, or what is wrong, without TensorFlow."""

import subprocess
import sys
from pathlib import Path

import pytest

from serving.server import main

CONFIG = """
model_config_list {{
  config {{
    name: "flowers" base_path: "{folder}/flowers" model_platform: "tensorflow"
    model_version_policy {{ specific {{ versions: {first} versions: 7 }} }}
    version_labels {{ key: "stable" value: 6 }}
  }}
}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in (1, 6, 7):
        (tmp_path / "flowers" / str(number)).mkdir(parents=True)
        (tmp_path / "flowers" / str(number) / "saved_model.pb").write_bytes(b"any")
    return tmp_path


def test_models_versions_and_labels_are_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "models.config").write_text(CONFIG.format(folder=folder, first=6))

    code = main(["--check", f"--model_config_file={folder}/models.config", "--rest_api_port=8501"])

    line = f"flowers  {folder}/flowers  version 6, 7, stable is 6\n"
    assert (code, capsys.readouterr().out) == (0, line)


@pytest.mark.parametrize(
    ("words", "text", "message"),
    [
        ((), CONFIG.replace("{first}", "5"), "version 5, 6 is named by its policy or a label"),
        ((), CONFIG.replace('flowers" model', 'tulips" model'), "tulips does not exist"),
        ((), "model_config_lisst {{}}", "Invalid protobuf file"),
        (("--ssl_config_file=/absent",), CONFIG, "cannot read /absent"),
        (("--enable_batching", "--batching_parameters_file=/absent"), CONFIG, "read /absent"),
        (("--access_log=/absent/log",), CONFIG, "--access_log /absent/log: No such file or dir"),
        (("--access_log=/dev/null/log",), CONFIG, "--access_log /dev/null/log: Not a directory"),
        (("--access_log=/tmp",), CONFIG, "--access_log /tmp: Is a directory"),
        (("--request_log_prefix=/dev/null/log",), CONFIG, "/dev/null is no folder; give another"),
    ],
)
def test_what_is_wrong_is_one_line_and_the_exit_code(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    text: str,
    message: str,
) -> None:
    (folder / "models.config").write_text(text.format(folder=folder, first=6))

    code = main(["--check", f"--model_config_file={folder}/models.config", *words])

    captured = capsys.readouterr()
    assert code == 1
    assert captured.err.startswith("error: ")
    assert message in captured.err


@pytest.mark.parametrize("words", [("--check",), ("--port=0", "--rest_api_port=0")])
@pytest.mark.parametrize("flag", ["--access_log", "--request_log_prefix"])
def test_folder_that_may_not_be_written_is_named_before_anything_starts(
    words: tuple[str, ...],
    flag: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # root may write everywhere
    monkeypatch.setattr("serving.check.os.access", lambda path, mode: path != folder)

    code = main([f"--model_base_path={folder}/flowers", *words, f"{flag}={folder}/log"])

    error = capsys.readouterr().err
    assert code == 1
    assert len(error.splitlines()) == 1
    assert f"{folder}/log" in error


def test_log_of_a_model_that_cannot_be_written_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = 'log_collector_config { filename_prefix: "/dev/null/log" } '
    text = CONFIG.format(folder=folder, first=6).replace(
        'model_platform: "tensorflow"',
        f'model_platform: "tensorflow" logging_config {{ {log} sampling_config {{ }} }}',
    )
    (folder / "models.config").write_text(text)

    code = main(["--check", f"--model_config_file={folder}/models.config"])

    assert code == 1
    assert "give another filename_prefix of model flowers" in capsys.readouterr().err


def test_folders_of_logs_that_are_made_later_are_no_fault(folder: Path) -> None:
    words = [f"--request_log_prefix={folder}/logs/new/requests", f"--access_log={folder}/log"]

    assert main([str(folder), "--check", *words, "--request_log_sampling_rate=1"]) == 0
    assert not (folder / "logs").exists()
    assert not (folder / "log").exists()


def test_wrong_flags_are_refused_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder), "--check", "--rest_api_max_json_depth=2000"]) == 2
    assert capsys.readouterr().err == (
        "error: --rest_api_max_json_depth is 2000: give a number from 1 to 1024, which is as deep "
        "as JSON is read\n"
    )


def test_it_is_quick_and_takes_no_port(folder: Path) -> None:
    code = (
        "import sys; from serving.server import main; code = main(sys.argv[1:]);"
        "sys.exit(code or 3 * ('tensorflow' in sys.modules))"
    )
    words = [sys.executable, "-c", code, str(folder), "--check"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout == f"flowers  {folder}/flowers  version 7\n"


def test_empty_folder_has_no_model_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--check"]) == 0
    assert "no model yet" in capsys.readouterr().out
