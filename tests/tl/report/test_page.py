"""The page says what was measured, shows what is there, and runs and fetches nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tl.report.album import ROOM
from tl.report.page import report_page

from .made import made_evaluation, made_facts, made_predictions, made_record
from .parsed import Parsed

NAMES = ("daisy", "rose", "tulip")
HOSTILE = (
    "<script>alert(1)</script>",
    "\"quoted' & $x$ {{ 7 * 7 }}",
    "_under ]]> -->",
    "turned\u202eround\x07\n",
    "漢字 café 😀",
    "x" * 3000,
)


def test_figures_stand_there_with_their_intervals() -> None:
    facts = made_facts(NAMES)
    metrics = facts.evaluation["metrics"]

    rows = Parsed(report_page(facts)).rows()

    low, high = metrics["top_1_accuracy_interval"]
    assert rows["accuracy (top 1)"] == [
        f"{metrics['top_1_accuracy']:.4g}", f"{low:.4g} to {high:.4g}", "1"
    ]  # fmt: skip
    assert rows["log loss"][0] == f"{metrics['log_loss']:.4g}"


def test_page_says_how_the_run_stands_to_the_best_before_it() -> None:
    words = "better than <best> & first: top_1_accuracy +0.1"
    record = {**made_record(NAMES), "outcome": {"against_best": words}}
    assert (
        "Against the best run before it: better than &lt;best&gt; &amp; first: top_1_accuracy +0.1."
        in report_page(made_facts(NAMES, record=record))
    )
    assert "Against the best" not in report_page(made_facts(NAMES))


def test_groups_of_the_pictures_are_told_of() -> None:
    facts = made_facts(NAMES)
    assert "Intervals are by the bootstrap:" in report_page(facts)
    facts.evaluation["metrics"]["n_groups"] = 12
    assert "bootstrap over the 12 groups that the pictures belong to" in report_page(facts)


def test_cells_of_the_matrix_open_their_pictures() -> None:
    facts = made_facts(NAMES)
    page = Parsed(report_page(facts))
    confusion = facts.evaluation["metrics"]["confusion"]

    targets = {one["href"] for one in page.named("a") if one["href"].startswith("#c-")}

    cells = {f"c-{row}-{column}" for row in range(3) for column in range(3)}
    there = {name for name in cells if confusion[int(name[2])][int(name[4])]}
    assert targets == {f"#{name}" for name in there}
    assert there <= set(page.ids())
    table = page.table("daisy")
    assert [[int(cell or 0) for cell in row[1:]] for row in table[1:]] == confusion


def test_every_link_leads_to_one_place_on_the_page() -> None:
    page = Parsed(report_page(made_facts(NAMES)))

    assert len(page.ids()) == len(set(page.ids()))
    for one in page.named("a"):
        assert one["href"].startswith("#")
        assert one["href"][1:] in page.ids()
    for one in page.named("use"):
        assert one["xlink:href"][1:] in page.ids()


def test_nothing_is_run_or_fetched() -> None:
    text = report_page(made_facts(NAMES))
    page = Parsed(text)

    policy = next(one for one in page.named("meta") if one.get("http-equiv"))
    assert policy["content"].startswith("default-src 'none'")
    assert not page.named("script") + page.named("link") + page.named("iframe")
    assert all(one["src"].startswith("data:image/") for one in page.named("img"))
    assert not re.search(r"url\((?!#)", text)
    assert not [name for _, one in page.elements for name in one if name.startswith("on")]


def test_hostile_names_are_only_words() -> None:
    keys = [
        f"{HOSTILE[place % 6]}/<img src=x onerror=alert(1)>{place}\u2028" for place in range(60)
    ]
    predictions = made_predictions(HOSTILE, keys=keys)
    suspect = SimpleNamespace(key=keys[0], given=HOSTILE[0], proposed=HOSTILE[3], side="train")
    facts = made_facts(
        HOSTILE,
        predictions=predictions,
        suspects=[suspect],
        asked={"dataset": HOSTILE[0], HOSTILE[1]: HOSTILE[3]},
        record=made_record(HOSTILE, name=HOSTILE[0], device=HOSTILE[3]),
        reproduce=f"tl finetune --dataset {HOSTILE[0]}",
    )
    text = report_page(facts)
    page = Parsed(text)

    assert not page.named("script")
    assert not [name for _, one in page.elements for name in one if name.startswith("on")]
    assert all(one["src"].startswith("data:image/") for one in page.named("img"))
    assert not re.search("[\u202e\u2028\x07]", text)
    assert "49" not in page.words.split()  # no template in a name is filled in
    assert "turned\\u202eround\\x07\\n" in page.words
    assert "漢字 café 😀" in page.words
    assert "x" * 41 not in page.words
    assert len(text) < 700_000


def test_mistakes_come_before_what_the_model_got_right() -> None:
    predictions = made_predictions(NAMES)
    wrong = predictions.keys[int((~predictions.right * predictions.confidence).argmax())]

    text = report_page(made_facts(NAMES, predictions=predictions))

    mistakes = text[text.index('id="mistakes"') :]
    first = re.search(r'alt="([^"]*)"', mistakes)
    assert first is not None
    assert first[1] == wrong


def test_pictures_that_cannot_be_read_are_not_shown() -> None:
    gone = report_page(made_facts(NAMES, show=lambda key: None))

    assert not Parsed(gone).named("img")
    assert "daisy/0.jpg" in gone


def test_pictures_have_bounded_room_and_mistakes_get_it_first() -> None:
    names = [f"class {number}" for number in range(30)]
    predictions = made_predictions(names, 3000)
    facts = made_facts(names, predictions=predictions, show=lambda key: "data:," + "A" * 9000)

    text = report_page(facts)

    assert 0.95 * ROOM < sum(len(one["src"]) for one in Parsed(text).named("img")) <= ROOM
    mistakes = text[text.index('id="mistakes"') :]
    assert "not shown" not in mistakes


@pytest.mark.parametrize("n_classes", [20, 1000])
def test_page_of_ten_thousand_pictures_is_below_5_megabytes(n_classes: int) -> None:
    names = [f"n{number:08} some synset, with another name of it" for number in range(n_classes)]
    predictions = made_predictions(names, 10_000)
    row = {"precision": 0.123456, "recall": 0.123456, "f1": 0.123456, "n_pictures": 10}
    metrics = {"n_pictures": 10_000, "top_1_accuracy": 0.5, "per_class": dict.fromkeys(names, row)}
    facts = made_facts(
        names,
        predictions=predictions,
        evaluation={"measured_on": "test", "metrics": metrics},
        show=lambda key: "data:," + "A" * 4500,
    )

    text = report_page(facts)

    assert len(text.encode()) < 4_500_000
    page = Parsed(text)
    assert [len(rows) for rows in page.tables if "predicted" in rows[0]] == [21] * (n_classes > 25)
    for one in page.named("a"):
        assert one["href"][1:] in page.ids()


def test_without_test_pictures_it_says_so() -> None:
    facts = made_facts(NAMES, evaluation={}, curves={}, samples={})
    page = Parsed(report_page(made_facts(NAMES, evaluation={}, predictions=None)))

    assert "Nothing was measured" in page.words
    assert "No model was exported" in page.words
    assert "confusion" not in page.ids()
    assert "No curves are kept" in Parsed(report_page(facts)).words


def test_validation_pictures_are_not_sold_as_unseen() -> None:
    predictions = made_predictions(NAMES)
    evaluation = {**made_evaluation(predictions), "measured_on": "val"}

    words = Parsed(report_page(made_facts(NAMES, evaluation=evaluation))).words

    assert "60 validation pictures" in words
    assert "a little too good" in words
    assert "never learned from" not in words


def test_classes_are_ordered_by_what_one_looks_for() -> None:
    facts = made_facts(NAMES)
    page = Parsed(report_page(facts))

    counts = [row[0] for row in page.table("train")[1:]]
    f1 = [float(row[3]) for row in page.table("precision")[1:]]

    assert counts == ["tulip", "rose", "daisy"]
    assert f1 == sorted(f1)


def test_long_tables_open() -> None:
    names = [f"class {number}" for number in range(40)]
    page = Parsed(report_page(made_facts(names, predictions=made_predictions(names, 400))))

    assert "15 more" in page.words
    assert {row[0] for rows in page.tables if "train" in rows[0] for row in rows[1:]} == set(names)


def page_in_a_new_process(seed: str) -> str:
    code = (
        "from tests.tl.report.made import made_facts\n"
        "from tl.report.page import report_page\n"
        "print(report_page(made_facts(('a', 'b'))))"
    )
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=environment, check=True, text=True,
        capture_output=True,
    ).stdout  # fmt: skip


def test_same_facts_give_the_same_page_in_every_process() -> None:
    assert page_in_a_new_process("1") == page_in_a_new_process("2")


def test_only_what_was_measured_is_claimed() -> None:
    predictions = made_predictions(NAMES)
    evaluation: dict[str, Any] = {
        **made_evaluation(predictions),
        "reliability": [{"confidence": 0.8, "accuracy": 0.5, "answers": 60}],
        "caution": {"asked_error_rate": 0.05},
        "abstention": {"asked_error_rate": 0.05, "abstain_below": None, "coverage_accuracy": []},
    }

    words = Parsed(report_page(made_facts(NAMES, evaluation=evaluation))).words

    assert "There is no abstain in the served answers" in words
    assert "temperature" not in words
