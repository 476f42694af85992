"""docs/summary.md shows what `tl summary` prints, and the milestones as the program has them."""

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
