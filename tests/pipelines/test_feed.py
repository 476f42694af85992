"""Decoded pictures are kept by default where that costs little, and never asks for anything."""

import dataclasses
from typing import Any

import pytest

from pipelines.feed import make_feed
from tl.data.decoded_cache import RamCache
from tl.errors import ConfigError


def plan_with(plan: Any, has_sizes: bool = True, **settings: Any) -> Any:
    data = dataclasses.replace(plan.config.data, **settings)
    pictures = plan.data.pictures
    if not has_sizes:
        pictures = dataclasses.replace(pictures, sizes=None)
    return dataclasses.replace(
        plan,
        config=dataclasses.replace(plan.config, data=data),
        data=dataclasses.replace(plan.data, pictures=pictures),
    )


def test_little_is_kept_in_memory(trained: Any) -> None:
    assert isinstance(make_feed(plan_with(trained.plan)).cache, RamCache)


@pytest.mark.parametrize("how", [{"workers": 2}, {"has_sizes": False}, {"cache": "none"}])
def test_nothing_is_kept_where_it_cannot_be_or_is_not_wanted(
    how: dict[str, Any], trained: Any
) -> None:
    assert make_feed(plan_with(trained.plan, **how)).cache is None


def test_cache_that_is_asked_for_needs_the_sizes(trained: Any) -> None:
    with pytest.raises(ConfigError, match="--cache ram has to know the size of every picture"):
        make_feed(plan_with(trained.plan, has_sizes=False, cache="ram"))
