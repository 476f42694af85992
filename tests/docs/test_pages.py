"""The pages say what the program says, and name nothing that is not there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tl.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_command_reference_is_what_the_commands_say() -> None:
    # In a process of its own: other commands that ran in this one change Click's settings.
    made = subprocess.run(
        [sys.executable, "-m", "tl.cli.reference"], capture_output=True, text=True, check=True
    ).stdout
    # Click joins words differently from one version to the next; the words are what counts.
    assert (ROOT / "docs" / "cli.md").read_text().split() == made.split(), (
        "run: python -m tl.cli.reference > docs/cli.md"
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_name_only_commands_that_exist(page: Path) -> None:
    text = "\n".join(re.findall(r"^    .*$|`[^`]+`", page.read_text(), re.MULTILINE))
    for command in re.findall(r"(?:^|[\s`/])tl ([a-z-]+)\b", text):
        assert command in COMMANDS, f"{page.name} names `tl {command}`"


def test_no_file_names_a_path_of_this_machine() -> None:
    here = [str(place).encode() for place in (ROOT, Path.home()) if len(place.parts) > 2]
    for path in _tracked_files():
        text = path.read_bytes()
        assert not any(place in text for place in here), f"{path} names a path of this machine"


def test_lock_files_do_not_say_where_packages_come_from() -> None:
    for lock in (ROOT / "requirements").glob("*.lock"):
        assert "://" not in lock.read_text(), lock


def _tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    paths = (ROOT / name for name in listed.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]
