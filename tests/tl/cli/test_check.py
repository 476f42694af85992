"""`tl check`: what it prints, writes and exits with."""

import contextlib
import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tl.data.scenes import encode, scene, sound_files, write_files

Run = Callable[..., Any]


@pytest.fixture
def pets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an error and a warning, seen from the folder above it."""
    monkeypatch.chdir(tmp_path)
    files = sound_files(25) | {
        "cats/cut.jpg": encode(scene(700))[:-9],
        "dogs/copy.jpg": encode(scene(1000)),
        "dogs/.DS_Store": b"x",
    }
    return write_files(tmp_path / "pets", files)


@pytest.fixture
def sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_files(tmp_path / "pets", sound_files(25))


def test_errors_exit_with_1_and_are_a_table(tl: Run, pets: Path) -> None:
    done = tl("check", "--dataset", pets)

    assert done.code == 1
    assert done.err == ""
    lines = done.out.splitlines()
    assert lines[0] == "pets: 52 pictures in 2 classes"
    assert "error         1  unreadable or cut-off files" in lines
    assert "cats/cut.jpg: damaged or cut-off JPEG" in done.out
    assert "the same bytes: dogs/00.jpg, dogs/copy.jpg" in done.out
    assert lines[-1] == "1 error, 2 warnings"


def test_warnings_alone_exit_with_0(tl: Run, sound: Path) -> None:
    (sound / "cats" / "Thumbs.db").write_bytes(b"x")

    done = tl("check", "--dataset", sound)

    assert done.code == 0
    assert done.out.splitlines()[-1] == "0 errors, 1 warning"


def test_a_sound_folder_is_said_to_be(tl: Run, sound: Path) -> None:
    done = tl("check", "--dataset", sound)

    assert (done.code, done.out) == (
        0, "pets: 50 pictures in 2 classes\n\n0 errors, 0 warnings\n",
    )  # fmt: skip


def test_json_is_valid_and_the_same_each_time(tl: Run, pets: Path) -> None:
    first, second = (tl("check", "--dataset", pets, "--json") for _ in range(2))

    assert first.code == 1
    assert first.out == second.out
    facts = json.loads(first.out)
    assert set(facts) == {"dataset", "pictures", "classes", "errors", "warnings", "findings"}
    assert facts["findings"][0] == {
        "kind": "unreadable",
        "severity": "error",
        "files": ["cats/cut.jpg"],
        "message": "cats/cut.jpg: damaged or cut-off JPEG",
    }


def test_json_holds_names_that_are_no_unicode(tl: Run, sound: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("such names exist on Linux only")
    (sound / "cats" / "caf\udce9\n.jpg").write_bytes(b"")

    done = tl("check", "--dataset", sound, "--json")
    for_people = tl("check", "--dataset", sound, "--html", "page.html", "--fix", "a.csv")

    assert json.loads(done.out)["findings"][0]["files"] == ["cats/caf\udce9\n.jpg"]
    assert r"cats/caf\udce9\n.jpg: an empty file" in for_people.out
    assert r"caf\udce9\n.jpg" in Path("page.html").read_text()
    assert "1 left out: unreadable" in for_people.out


def test_only_the_first_findings_of_a_kind_are_printed(tl: Run, sound: Path) -> None:
    for number in range(8):
        (sound / "cats" / f"x{number}.jpg").write_bytes(b"")

    few, every = tl("check", "--dataset", sound), tl("check", "--dataset", sound, "--show", 0)

    assert "... and 3 more" in few.out
    assert few.out.count("an empty file") == 5
    assert every.out.count("an empty file") == 8


def test_fix_writes_a_manifest_that_tl_reads(tl: Run, pets: Path) -> None:
    before = _hashes(pets)

    done = tl("check", "--dataset", "pets", "--fix", "cleaned.csv", "--html", "report.html")
    again = tl("check", "--dataset", "cleaned.csv")
    trained = tl("finetune", "--dataset", "cleaned.csv", "--backbone", "tl_small", "--dry-run")

    assert done.code == 1
    assert "cleaned   cleaned.csv: 50 pictures; no picture was changed" in done.out
    assert "1 left out: unreadable" in done.out
    assert done.out.splitlines()[-1] == "next      tl finetune --dataset cleaned.csv"
    assert (again.code, again.out.splitlines()[-1]) == (0, "0 errors, 0 warnings")
    assert trained.code == 0, trained.err
    assert "50 pictures in 2 classes" in trained.out
    assert _hashes(pets) == before
    assert "data:image/jpeg" in Path("report.html").read_text()


def test_fix_beside_the_pictures_names_the_root(tl: Run, pets: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()

    done = tl("check", "--dataset", "pets", "--fix", other / "cleaned.csv")
    *_, command = done.out.splitlines()
    again = tl("check", *command.split()[3:])

    assert f"--set data.root={pets}" in command
    assert again.code == 0


def test_json_stays_json_with_other_outputs(tl: Run, pets: Path) -> None:
    done = tl("check", "--dataset", pets, "--json", "--fix", "a.csv", "--html", "a.html")

    assert json.loads(done.out)["errors"] == 1
    assert "cleaned   a.csv" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--dataset", "nowhere"), "nowhere: no such folder or file"),
        (("--dataset", "pets", "--html", "a.csv", "--fix", "a.csv"), "are both a.csv"),
        (("--dataset", "digits", "--fix", "a.csv"), "unpack them into folders first"),
        (("--dataset", "pets", "--fix", "there.csv"), "there.csv is there already"),
        (("--dataset", "pets", "--html", "there.csv"), "there.csv is there already"),
        (("--dataset", "pets", "--fix", "cleaned.txt"), "let its name end with .csv"),
        (("--dataset", "pets", "--fix", "no/cleaned.csv"), "there is no folder"),
        (("--dataset", "pets", "--html", "no/page.html"), "there is no folder"),
        (("--dataset", "pets", "--set", "data.rot=x"), "unknown setting 'data.rot'"),
    ],
)
def test_bad_input_is_refused_before_the_long_part(
    words: tuple[str, ...], said: str, tl: Run, pets: Path
) -> None:
    Path("there.csv").write_text("mine")

    done = tl("check", *words)

    assert done.code == 2
    assert said in done.error
    assert done.out == ""
    assert Path("there.csv").read_text() == "mine"


def test_a_folder_without_rights_is_refused(
    tl: Run, pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write anywhere

    done = tl("check", "--dataset", "pets", "--html", "page.html")

    assert done.code == 2
    assert "may not be written to" in done.error


def test_an_empty_folder_is_one_line(tl: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    done = tl("check", "--dataset", tmp_path / "empty")

    assert done.code == 1
    assert "no sub-folder" in done.error


def test_finetune_says_in_two_lines_what_the_quick_part_finds(tl: Run, pets: Path) -> None:
    done = tl("finetune", "--dataset", "pets", "--backbone", "tl_small", "--dry-run")

    assert done.code == 0
    lines = done.out.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("check"))
    assert lines[place] == (
        "check     1 exact duplicates; 1 hidden files and files of the operating system"
    )
    assert lines[place + 1] == ("          tl check --dataset pets names them and looks for more")


def test_finetune_says_nothing_of_a_sound_folder(tl: Run, sound: Path) -> None:
    done = tl("finetune", "--dataset", "pets", "--backbone", "tl_small", "--dry-run")

    assert done.code == 0
    assert "check " not in done.out


def test_check_needs_no_tensorflow(sound: Path) -> None:
    code = (
        "import sys, tl.cli.main as m\n"
        "try: m.main(['check', '--dataset', sys.argv[1]])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert not {'tensorflow', 'keras', 'mlflow'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, sound], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


def _hashes(root: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_bar_shows_on_a_terminal_only(
    sound: Path, monkeypatch: pytest.MonkeyPatch, tl: Run
) -> None:
    from tl.cli.main import main

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        patch.setenv("TERM", "xterm")
        with contextlib.suppress(SystemExit):
            main(["check", "--dataset", str(sound)])

    assert "looking at pictures" in terminal.getvalue()
    assert "50/50" in terminal.getvalue()
    assert tl("check", "--dataset", sound).err == ""
