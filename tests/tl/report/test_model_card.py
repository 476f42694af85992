"""The card's metadata is YAML whatever names hold, and its text says what was measured."""

from typing import Any

import pytest
import yaml

from tl.report.model_card import model_card

from .made import made_evaluation, made_predictions, made_record

HOSTILE = ("a: b # c", "- {x}", "\"'`|>*&!%@", "<b>\u202e\x85\u2028", "😀 漢", "\\", "_a_")


def metadata(card: str) -> dict[str, Any]:
    assert card.startswith("---\n")
    found: dict[str, Any] = yaml.safe_load(card.split("\n---\n")[0])
    return found


def test_metadata_holds_the_figures() -> None:
    evaluation = made_evaluation(made_predictions(("a", "b")))

    facts = metadata(model_card(made_record(("a", "b")), evaluation, "tl finetune"))

    result = facts["model-index"][0]["results"][0]
    assert result["dataset"]["name"] == "flowers"
    assert result["dataset"]["split"] == "test"
    first = result["metrics"][0]
    assert first["type"] == "top_1_accuracy"
    assert first["value"] == pytest.approx(evaluation["metrics"]["top_1_accuracy"], rel=1e-5)
    assert first["interval_95"] == pytest.approx(
        evaluation["metrics"]["top_1_accuracy_interval"], rel=1e-5
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_metadata_is_yaml_whatever_a_name_holds(name: str) -> None:
    record = made_record(HOSTILE, name=name, backbone=name, config={"dataset": f"/pictures/{name}"})
    evaluation = made_evaluation(made_predictions(HOSTILE))

    card = model_card(record, evaluation, f"tl finetune {name}")
    facts = metadata(card)

    shown = {"<b>\u202e\x85\u2028": "<b>\\u202e\\x85\\u2028"}.get(name, name)
    assert facts["model_name"] == facts["base_model"] == facts["datasets"][0] == shown
    assert facts["model-index"][0]["name"] == shown
    assert all(one.isprintable() for one in card.split("\n"))


def test_names_cannot_become_markup() -> None:
    card = model_card(made_record(("<b>x</b>", "[a](b)", "c|d")), {}, "tl finetune")

    assert "\\<b\\>x\\</b\\>, \\[a\\](b), c\\|d" in card


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        ("single_label", "Which of these classes a picture shows: a, b."),
        ("multi_label", "Which of these classes a picture shows, each for itself: a, b."),
        ("regression", "A number for a picture: a."),
    ],
)
def test_card_says_what_is_answered(problem: str, words: str) -> None:
    assert words in model_card(made_record(("a", "b"), problem=problem), {}, "tl finetune")


def test_model_that_was_not_measured_claims_nothing() -> None:
    card = model_card(made_record(("a", "b")), {}, "tl finetune")

    assert metadata(card)["model-index"][0]["results"] == []
    assert "It was not measured" in card


def test_thousand_classes_are_not_all_listed() -> None:
    names = [f"class {number}" for number in range(1000)]

    assert "class 99 and 900 more" in model_card(made_record(names), {}, "tl finetune")
