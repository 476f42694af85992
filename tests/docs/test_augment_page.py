"""docs/augment.md has every transform, parameter and recipe as the program has them."""

from pathlib import Path

import pytest

from tl.augment.recipes import RECIPES
from tl.transforms import TRANSFORMS, Choice, transform

PAGE = (Path(__file__).parents[2] / "docs" / "augment.md").read_text()


def transform_row(name: str) -> str:
    """Return the line of the table for one transform."""
    row = TRANSFORMS[name]
    parameters = []
    for parameter, rule in row.parameters.items():
        if isinstance(rule, Choice):
            words = ", ".join(rule.words)
            parameters.append(f"`{parameter}` {rule.default} ({words})")
        else:
            parameters.append(
                f"`{parameter}` {rule.default:.4g} ({rule.low:g} to {rule.high:g}, {rule.unit})"
            )
    p = "always" if row.p is None else f"{row.p:g}"
    return f"| `{name}` | {row.does} | {p} | {'; '.join(parameters) or '-'} | {row.source} |"


def recipe_row(name: str) -> str:
    """Return the line of the table for one recipe."""
    steps = []
    for one in RECIPES[name]():
        plain = transform(str(one["name"]))
        changed = [f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
                   for key, value in one.items() if plain[key] != value]  # fmt: skip
        steps.append(f"{one['name']} ({', '.join(changed)})" if changed else str(one["name"]))
    return f"| `{name}` | {', '.join(steps)} |"


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transform_is_described_as_it_is(name: str) -> None:
    assert transform_row(name) in PAGE


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_is_described_as_it_is(name: str) -> None:
    assert recipe_row(name) in PAGE
