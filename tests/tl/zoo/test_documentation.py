"""docs/zoo.md says only what is true."""

import contextlib
import io
import re
import textwrap
from pathlib import Path
from typing import Any

import keras

from tl.zoo.backbones import BACKBONES, find_backbone

PAGE = (Path(__file__).parents[3] / "docs" / "zoo.md").read_text()


def test_every_name_on_the_page_is_a_backbone() -> None:
    table = PAGE[PAGE.index("| Family") : PAGE.index("The numbers after")]
    names = re.findall(r"`([a-z][a-z0-9_.]*)`", table)

    assert len(names) > 20
    assert set(names) <= set(BACKBONES)


def test_sizes_on_the_page_are_those_of_the_table() -> None:
    row = re.compile(r"^\| [^|]+ \| `([a-z0-9_.]+)`[^|]*\| (\d+)[^|]*\| (\d+) \|$", re.MULTILINE)
    rows = row.findall(PAGE)

    assert len(rows) == 14
    for name, pixels, smallest in rows:
        backbone = BACKBONES[name]
        assert (backbone.image_size[0], backbone.minimum_size) == (int(pixels), int(smallest))


def test_every_classic_is_on_the_page_with_its_sizes() -> None:
    row = re.compile(r"^\| `([a-z0-9_]+)` \| [^|]+ \d{4} \|.*\| (\d+) \| (\d+) \|$", re.MULTILINE)
    rows = {name: (int(pixels), int(smallest)) for name, pixels, smallest in row.findall(PAGE)}

    assert rows == {
        backbone.name: (backbone.image_size[0], backbone.minimum_size)
        for backbone in BACKBONES.values()
        if backbone.classic
    }


def test_options_on_the_page_are_taken() -> None:
    (named,) = re.findall(r"--backbone (\S+:\S+)$", PAGE, re.MULTILINE)

    assert find_backbone(named).style != find_backbone("alexnet").style


def test_the_example_prints_what_it_says() -> None:
    program = PAGE[PAGE.index("```python\n") + 10 : PAGE.rindex("```")]
    promised = re.findall(r"^print\(.*#\s(.*)$", program, re.MULTILINE)
    printed = io.StringIO()

    with contextlib.redirect_stdout(printed):
        exec(program, {})

    assert printed.getvalue().splitlines() == promised


def test_the_auxiliary_classifiers_are_put_on_as_it_says() -> None:
    start = PAGE.index("    from tl.zoo.classic.googlenet import")
    program = PAGE[start : PAGE.index("###", start)]
    names: dict[str, Any] = {"keras": keras}

    exec(textwrap.dedent(program), names)

    assert set(names["training"].output) == {"logits", "auxiliary_1", "auxiliary_2"}
    assert names["model"].output.shape == (None, 10)
