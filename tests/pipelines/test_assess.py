"""What an export finds out about its model, on runs of every problem."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.assess import assess
from pipelines.caution import shuffled_tiles
from pipelines.export import question_of
from pipelines.measured import measure
from tl.evaluation.corruptions import CORRUPTIONS
from tl.evaluation.predictions import read_predictions
from tl.evaluation.served import load_served_model
from tl.run_folder import read_record


def evaluation(run: Path) -> Any:
    return json.loads((run / "evaluation.json").read_text())


def test_predictions_are_those_of_the_exported_model(trained: Any) -> None:
    table = read_predictions(trained.run / "predictions.parquet")
    examples = list(trained.plan.data.side("test"))
    assert list(table.keys) == [one.key for one in examples]
    assert table.side == "test"
    served = load_served_model(trained.version)
    assert np.allclose(table.answers, served.answers([one.read() for one in examples]), atol=1e-6)
    metrics = trained.result.exported.metrics
    assert table.right.mean() == pytest.approx(metrics["top_1_accuracy"])
    identities = dict(
        zip(
            trained.plan.data.pictures.examples.keys,
            trained.plan.data.pictures.identities,
            strict=True,
        )
    )
    assert list(table.identities) == [identities[key] for key in table.keys]


def test_headline_figures_have_intervals(trained: Any, trained_shapes: Any,
                                         trained_discs: Any) -> None:  # fmt: skip
    for run, names in (
        (trained, ("top_1_accuracy", "macro_f1", "log_loss", "brier_score")),
        (trained_shapes, ("mean_average_precision", "micro_f1", "log_loss")),
        (trained_discs, ("mae", "rmse", "r2")),
    ):
        metrics = evaluation(run.run)["metrics"]
        for name in names:
            low, high = metrics[f"{name}_interval"]
            assert low <= metrics[name] <= high, name
        assert metrics == run.result.exported.metrics


def test_findings_of_a_classifier(trained: Any) -> None:
    found = evaluation(trained.run)
    assert set(found["curves"]) <= set(trained.plan.data.class_names)
    assert sum(one["answers"] for one in found["reliability"]) == found["metrics"]["n_pictures"]
    assert set(found["outside"]) == {"handwritten digits", "shuffled tiles"}
    assert found["speed"]["one_picture_ms"] > 0
    assert found["speed"]["pictures_per_second"] > 0
    files = [path for path in trained.version.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    assert found["speed"]["megabytes"] == pytest.approx(size, abs=0.05)  # less the manifest
    assert found["caution"]["temperature"] > 0
    assert "robustness" not in found  # 0 pictures were asked for


def test_findings_of_values_have_no_probabilities(trained_discs: Any) -> None:
    found = evaluation(trained_discs.run)
    assert not {"curves", "reliability", "abstention", "outside"} & set(found)
    assert found["caution"] == {}


def test_parts_of_the_pictures_are_measured_for_every_problem(
    trained_discs: Any, trained_shapes: Any
) -> None:
    for one in (trained_discs, trained_shapes):
        record = read_record(one.run)
        served = load_served_model(one.version)
        measured = measure(served, list(one.plan.data.pictures.examples), question_of(record))
        count = len(measured.examples)
        parts = {"group": ["a" if place < count // 2 else "b" for place in range(count)]}
        found = assess(
            served, measured, question_of(record), cuts=parts, outside={}, robustness=0, caution={}
        )["slices"]
        assert {part["value"] for part in found} == {"a", "b"}
        assert {part["of"] for part in found} == {"mae" if one is trained_discs else "right"}
        assert sum(part["n_pictures"] for part in found) == count


def test_corruptions_are_measured_beside_the_clean_pictures(trained: Any, served: Any) -> None:
    record = read_record(trained.run)
    examples = list(trained.plan.data.pictures.examples)
    measured = measure(served, examples, question_of(record))
    found = assess(
        served, measured, question_of(record), cuts={}, outside={}, robustness=20, caution={}
    )["robustness"]
    assert found["figure"] == "top_1_accuracy"
    assert found["n_pictures"] == 20
    places = np.linspace(0, len(examples) - 1, 20).astype(int)
    right = (measured.answers.argmax(axis=1) == measured.truth)[places]
    # Decoded by OpenCV in place of the graph: within a level.
    assert found["clean"]["value"] == pytest.approx(right.mean(), abs=0.051)
    assert set(found["kinds"]) == set(CORRUPTIONS)
    for rows in found["kinds"].values():
        assert [row["severity"] for row in rows] == [1, 2, 3]
        assert all(0 <= row["value"] <= 1 for row in rows)


def test_abstention_is_read_from_the_graph(trained: Any, served: Any) -> None:
    """Its figures are those of the output that is served, and not of the threshold."""
    found = evaluation(trained.run)["abstention"]
    table = read_predictions(trained.run / "predictions.parquet")
    if found["abstain_below"] is None:
        assert "abstain" not in table.extras
        return
    answered = ~table.extras["abstain"].astype(bool)
    assert np.array_equal(answered, table.confidence >= found["abstain_below"])
    assert found["coverage"] == pytest.approx(answered.mean())


def test_shuffled_tiles_keep_every_pixel() -> None:
    view = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    shuffled = shuffled_tiles(view, 1)
    assert not np.array_equal(view, shuffled)
    assert np.array_equal(np.sort(view.ravel()), np.sort(shuffled.ravel()))


def test_outside_pictures_of_the_users_own(copied_run: Path, pictures: Path) -> None:
    from pipelines.export import export_run
    from pipelines.reopen import reopen_data

    facts = json.loads((copied_run / "run.json").read_text())
    facts["config"]["evaluation"]["outside"] = [str(pictures)]
    (copied_run / "run.json").write_text(json.dumps(facts))
    export_run(copied_run, reopen_data(copied_run))
    assert set(evaluation(copied_run)["outside"]) == {pictures.name}


def test_label_errors_are_written_where_they_are(
    trained: Any, tmp_path: Path, pictures: Path
) -> None:
    from dataclasses import replace

    from pipelines.feed import make_feed
    from pipelines.suspects import find_label_errors, read_suspects, write_suspects
    from tl.data.exclude import excluded_places

    plan = trained.plan
    examples = plan.data.pictures.examples
    labels = examples.labels.copy()
    labels[0] = (labels[0] + 1) % 3
    data = replace(
        plan.data,
        pictures=replace(plan.data.pictures, examples=replace(examples, labels=labels)),
    )
    rows = find_label_errors(
        data, plan.backbone, plan.weights, plan.image_size, config=plan.config.data,
        feed=make_feed(plan), seed=0,
    )  # fmt: skip
    assert examples.keys[0] in [row.key for row in rows]
    write_suspects(rows, tmp_path / "suspects.csv")
    assert [row.key for row in read_suspects(tmp_path / "suspects.csv")] == [
        row.key for row in rows
    ]
    mask = excluded_places(
        tmp_path / "suspects.csv", examples.keys, plan.data.pictures.identities.tolist()
    )
    assert mask.sum() == len(rows)


def test_excluded_pictures_are_left_out_and_the_others_keep_their_sides(
    trained: Any, pictures: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    from pipelines.plan import make_plan
    from tl.config_reading import read_config

    examples = trained.plan.data.pictures.examples
    (tmp_path / "wrong.csv").write_text(f"key\n{examples.keys[0]}\n{examples.keys[20]}\n")
    flags = {"dataset": str(pictures), "data.exclude": str(tmp_path / "wrong.csv"), **settings}
    plan = make_plan(read_config(None, (), flags))
    assert plan.data.excluded == (examples.keys[0], examples.keys[20])
    assert len(plan.data.pictures.examples) == len(examples) - 2
    before = trained.plan.data.split()
    assert all(before[identity] == side for identity, side in plan.data.split().items())
    assert plan.data.pictures.fingerprint == trained.plan.data.pictures.fingerprint


def test_evaluate_looks_closer_where_it_is_asked_to(
    trained: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.evaluate import evaluate
    from tl.cli.evaluate import finding_lines

    result = evaluate(trained.version, str(trained.dataset), closer=True)
    stored = evaluation(trained.run)
    assert result.metrics == stored["metrics"]
    assert result.findings["reliability"] == stored["reliability"]
    assert result.findings["outside"] == stored["outside"]
    assert result.findings["abstention"] == stored["abstention"]
    assert result.predictions is not None
    table = read_predictions(trained.run / "predictions.parquet")
    assert list(result.predictions.identities) == list(table.identities)
    words = "\n".join(finding_lines(result.findings))
    assert "AUROC of ood_score" in words
    assert "MB" in words
    assert evaluate(trained.version, str(trained.dataset)).findings == {}


def test_runs_on_the_same_split_are_compared(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.compare_runs import compare_runs

    monkeypatch.chdir(trained.home)
    by_run = compare_runs(trained.run.name, trained.run.name)
    assert by_run.n_pictures == trained.result.exported.metrics["n_pictures"]
    assert by_run.differences[0].better == "neither"
    measured = compare_runs(str(trained.version), str(trained.version), str(trained.dataset))
    assert measured.n_pictures == by_run.n_pictures
    assert measured.differences[0].first == pytest.approx(by_run.differences[0].first)
