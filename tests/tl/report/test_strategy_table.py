import dataclasses
import json
from typing import Any

import pytest

from tl.report.strategy_table import strategy_table
from tl.strategy import Evidence, decide


@pytest.fixture
def facts() -> dict[str, Any]:
    """What ``decision.json`` holds."""
    evidence = Evidence(
        pictures_per_class=80, score_name="accuracy", last_score=0.7, best_taps=(1, 3),
        best_score=0.9, compared=200, last_loss=1.0, gain=0.4, gain_error=0.05, head_seconds=4,
        epochs=10, epoch_seconds={"features": 0, "stages": 0, "last": 30, "all": 60},
    )  # fmt: skip
    return dict(json.loads(json.dumps(dataclasses.asdict(decide(evidence)))))


def test_chosen_cell_its_reasons_and_all_costs_are_there(facts: dict[str, Any]) -> None:
    table = strategy_table(facts)

    assert table is not None
    cells = {one.name: one for row in table.rows.values() for one in row}
    assert [name for name, one in cells.items() if one.is_chosen] == ["all"]
    assert cells["features"].cost == "about 4 s"
    assert cells["all"].cost == "about 10 min, 60.0 s an epoch"
    assert list(table.rows) == ["little data", "more data"]
    assert "80 training pictures a class: more data" in table.reasons[0]
    assert any("40.0 % off the loss" in one for one in table.reasons)


def test_decision_of_an_earlier_tl_has_no_table(facts: dict[str, Any]) -> None:
    del facts["evidence"]["gain_error"]

    assert strategy_table(facts) is None
    assert strategy_table([]) is None  # type: ignore[arg-type]
