"""docs/summary.md shows what `tl summary` prints, and the milestones as the program has them."""

import re
from pathlib import Path

from click.testing import CliRunner

from tl.cli.summary import summary
from tl.zoo.imagenet_accuracy import MILESTONES

PAGE = (Path(__file__).parents[2] / "docs" / "summary.md").read_text()


def test_the_example_is_what_is_printed() -> None:
    example = [line for line in PAGE.split("```")[1].splitlines() if line]

    printed = CliRunner().invoke(summary, ["vgg16"], catch_exceptions=False).stdout.splitlines()

    assert len(example) == 7
    assert {line.rstrip() for line in example} <= {line.rstrip() for line in printed}


def test_the_milestones_are_those_of_the_program() -> None:
    for one in MILESTONES:
        assert f"| {one.when} | {one.what} | {one.top_5_error:g} | {one.exact} |" in PAGE


def test_a_megabyte_is_the_same_everywhere() -> None:
    weights = 138_357_544 * 4

    assert "1 MB = 1024 KB" in PAGE
    assert f"not the {weights / 1024**2:.0f} MB of its weights" in " ".join(PAGE.split())


def test_what_is_said_of_convnext_is_in_the_table() -> None:
    rows = {line.split("`")[1]: [cell.strip() for cell in line.split("|")[2:-1]]
            for line in PAGE.splitlines() if line.startswith("| `")}  # fmt: skip
    tiny, residual = rows["convnext_tiny"], rows["resnet50"]
    slower = [float(residual[at]) / float(tiny[at]) for at in (-2, -1)]
    said = re.search(r"takes six to seven times as long as `resnet50`", PAGE)

    assert said
    assert [round(one) for one in slower] == [6, 7]
