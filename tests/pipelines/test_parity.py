"""The certificate: one answer whichever way a model runs, and no export where there is another."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.parity import SERVED_BOUND, TRAINED_BOUND, Agreement, compare, refuse_disparity
from tl.errors import ExportError
from tl.export.versions import list_versions


def answers(scores: list[list[float]], names: str = "abc") -> dict[str, Any]:
    rows = np.array(scores)
    order = np.argsort(-rows, axis=1)
    return {
        "labels": np.array(list(names))[order],
        "scores": np.take_along_axis(rows, order, axis=1),
    }


def test_differences_are_of_the_same_label() -> None:
    one = answers([[0.7, 0.2, 0.1], [0.3, 0.36, 0.34]])
    other = answers([[0.69, 0.21, 0.1], [0.3, 0.33, 0.37]])
    found = compare(one, other)
    assert found.largest_difference == pytest.approx(0.03)
    assert found.top_1_agreement == 0.5
    assert compare(one, one) == Agreement(0.0, 1.0)


def test_label_that_one_way_does_not_name_counts_by_the_lowest_that_it_names() -> None:
    one = {"labels": np.array([["a", "b"]]), "scores": np.array([[0.6, 0.3]])}
    other = {"labels": np.array([["a", "c"]]), "scores": np.array([[0.6, 0.28]])}
    assert compare(one, other).largest_difference == pytest.approx(0.02)


def test_values_differ_in_units_of_their_spread() -> None:
    one = {"outputs": np.array([10.0, 20.0, 30.0])}
    other = {"outputs": np.array([10.0, 20.0, 31.0])}
    assert compare(one, other).largest_difference == pytest.approx(1 / np.std([10, 20, 31]))


@pytest.mark.parametrize(("way", "bound"), [("keras", TRAINED_BOUND), ("rest", SERVED_BOUND)])
def test_disparity_is_refused(way: str, bound: float) -> None:
    refuse_disparity({way: Agreement(bound * 0.99, 0.9)})
    with pytest.raises(ExportError, match=f"SavedModel and {way} differ by .* not published"):
        refuse_disparity({way: Agreement(bound * 1.01, 1.0)})


@pytest.fixture
def run(copied_run: Path) -> Path:
    """A run whose export has to have a certificate."""
    facts = json.loads((copied_run / "run.json").read_text())
    facts["config"]["evaluation"]["parity"] = 64
    (copied_run / "run.json").write_text(json.dumps(facts))
    return copied_run


@pytest.mark.slow
def test_export_has_a_certificate_of_keras_savedmodel_rest_and_grpc(
    run: Path, trained: Any
) -> None:
    from pipelines.export import export_run
    from pipelines.reopen import reopen_data

    version = export_run(run, reopen_data(run)).path
    parity = json.loads((version / "assets.extra" / "tl.json").read_text())["parity"]

    assert parity["n_pictures"] == len(trained.plan.data.pictures.examples)  # 36, all there are
    for way, bound in (("keras", TRAINED_BOUND), ("rest", SERVED_BOUND), ("grpc", SERVED_BOUND)):
        assert parity["bound"][way] == bound
        assert 0 <= parity[way]["largest_score_difference"] <= bound
        assert parity[way]["top_1_agreement"] == 1.0
    found = json.loads((run / "evaluation.json").read_text())
    assert found["parity"] == parity


@pytest.mark.slow
def test_model_that_answers_otherwise_is_not_published(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network that is compared is another than was exported, as after a faulty conversion."""
    import pipelines.export
    from pipelines.caution import Onlooker
    from pipelines.reopen import reopen_data
    from tl.evaluation.caution import Seen

    class Astray(Onlooker):
        def at(self, views: Any) -> Seen:
            seen = super().at(views)
            return Seen(seen.logits[:, ::-1], seen.features, seen.truth)

    monkeypatch.setattr(pipelines.export, "Onlooker", Astray)
    with pytest.raises(ExportError, match="SavedModel and keras differ by .* not published"):
        pipelines.export.export_run(run, reopen_data(run))
    assert list_versions(run.parents[1] / "models" / "colours") == []
    assert not list((run.parents[1] / "models" / "colours").glob(".writing-*"))


@pytest.mark.slow
def test_model_that_no_fresh_process_can_load_is_not_published(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pipelines.export
    from pipelines.parity import started_check
    from pipelines.reopen import reopen_data

    def damaged(version: Path, *arguments: Any) -> Any:
        (version / "variables" / "variables.index").write_bytes(b"damaged")
        return started_check(version, *arguments)

    monkeypatch.setattr(pipelines.export, "started_check", damaged)
    monkeypatch.setattr(pipelines.export, "load_served_model", lambda version: None)
    monkeypatch.setattr(pipelines.export, "measure", lambda *_: None)
    with pytest.raises(ExportError, match="could not be loaded and served in a fresh process"):
        pipelines.export.export_run(run, reopen_data(run))
    assert list_versions(run.parents[1] / "models" / "colours") == []


def test_export_without_the_check_is_what_the_message_says(
    run: Path, trained: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from tl.cli.main import main

    with pytest.raises(ExportError, match=rf"tl export {run.name} --set evaluation.parity=0"):
        refuse_disparity({"keras": Agreement(1.0, 0.0)}, run.name)
    with pytest.raises(SystemExit) as ended:
        main(["export", run.name, "--set", "evaluation.parity=0"])
    assert ended.value.code == 0, capsys.readouterr().err
    (version,) = list_versions(run.parents[1] / "models" / "colours")
    facts = run.parents[1] / "models" / "colours" / str(version) / "assets.extra" / "tl.json"
    assert json.loads(facts.read_text())["parity"] is None
    with pytest.raises(SystemExit) as ended:
        main(["export", run.name, "--set", "training.epochs=3"])
    assert ended.value.code == 2
    assert "an export takes evaluation.KEY=VALUE only" in capsys.readouterr().err
