import re

import pytest

from tl import errors
from tl.errors import ConfigError, TlError, nearest


def subclasses() -> list[type[TlError]]:
    return TlError.__subclasses__()


def test_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    drawn = dict(re.findall(r"[├└]── (\w+) +(\d)", errors.__doc__ or ""))

    assert drawn == {one.__name__: str(one.exit_code) for one in subclasses()}


def test_wrong_usage_ends_with_2_and_every_failure_with_1() -> None:
    assert ConfigError.exit_code == 2
    assert {one.exit_code for one in subclasses() if one is not ConfigError} == {1}
    assert TlError.exit_code == 1


@pytest.mark.parametrize("word", ["resnet5", "ResNet50", "resnet-50", "rsenet50"])
def test_mistyped_name_is_answered_with_the_nearest(word: str) -> None:
    hint = nearest(word, ["vgg16", "resnet50", "mobilenet"])

    assert hint.startswith("did you mean 'resnet50'")
    assert hint.endswith("?")


def test_several_near_names_are_listed_up_to_the_count() -> None:
    names = ["resnet50", "resnet101", "resnet152", "resnet18"]

    assert nearest("resnet1", names, count=2).count("'resnet") == 2


def test_few_choices_are_all_listed_where_none_is_near() -> None:
    assert nearest("zzz", ["plain", "digits"]) == "valid: digits, plain."


def test_many_choices_are_not_listed() -> None:
    assert nearest("zzz", [f"name{i}" for i in range(30)]) == ""
