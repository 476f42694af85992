"""Several labels and numbers the whole way: learned, published, measured, tracked, asked."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tl.errors import ConfigError, DatasetError
from tl.evaluation.served import ServedModel, load_served_model


def manifest(trained: Any) -> Any:
    return json.loads((trained.version / "assets.extra" / "tl.json").read_text())


def tags_and_metrics(trained: Any) -> tuple[dict[str, str], dict[str, float]]:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{trained.home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(trained.plan.name).experiment_id
    (run,) = client.search_runs([experiment])
    return run.data.tags, run.data.metrics


def files_of(trained: Any, side: str = "test") -> list[bytes]:
    return [one.read() for one in trained.plan.data.side(side)]


def serialised(files: list[bytes]) -> Any:
    import tensorflow as tf

    def example(data: bytes) -> bytes:
        value = tf.train.Feature(bytes_list=tf.train.BytesList(value=[data]))
        features = tf.train.Features(feature={"image_bytes": value})
        return bytes(tf.train.Example(features=features).SerializeToString())

    return tf.constant([example(data) for data in files])


def answers(served: ServedModel, signature: str, **inputs: Any) -> dict[str, Any]:
    answer = served.loaded.signatures[signature](**inputs)
    return {key: value.numpy() for key, value in answer.items()}


def test_several_labels_are_learned(trained_shapes: Any) -> None:
    metrics = trained_shapes.result.exported.metrics

    assert trained_shapes.plan.data.problem == "multi_label"
    assert metrics["mean_average_precision"] > metrics["chance_average_precision"] + 0.25
    assert metrics["mean_average_precision"] < 1  # some are drawn wrong: a perfect figure is none
    assert {name for one in trained_shapes.result.records for name in one.metrics} == {
        "loss", "micro_f1", "val_loss", "val_micro_f1", "penalty"
    }  # fmt: skip


def test_numbers_are_learned_in_their_unit(trained_discs: Any) -> None:
    metrics = trained_discs.result.exported.metrics

    assert trained_discs.plan.data.problem == "regression"
    assert metrics["r2"] > 0.8
    assert metrics["mae"] < 0.4 * metrics["mae_of_training_mean"]
    assert {name for one in trained_discs.result.records for name in one.metrics} == {
        "loss", "mae", "val_loss", "val_mae", "penalty"
    }  # fmt: skip


def test_figures_are_those_of_the_published_model(trained_shapes: Any, trained_discs: Any) -> None:
    from tl.evaluation.multi_label import multi_label_metrics

    several = load_served_model(trained_shapes.version)
    test = trained_shapes.plan.data.side("test")
    truth = np.stack([one.target for one in test])
    again = multi_label_metrics(several.answers(files_of(trained_shapes)), truth, test.class_names)
    exported = trained_shapes.result.exported.metrics
    assert again["mean_average_precision"] == exported["mean_average_precision"]
    assert again["per_class"] == exported["per_class"]

    numbers = load_served_model(trained_discs.version)
    said = numbers.predict(files_of(trained_discs))["outputs"]
    values = trained_discs.plan.data.side("test").values
    assert np.abs(said - values).mean() == pytest.approx(
        trained_discs.result.exported.metrics["mae"], rel=1e-4
    )


def test_published_probabilities_of_several_labels_are_independent(trained_shapes: Any) -> None:
    import tensorflow as tf

    served, files = load_served_model(trained_shapes.version), files_of(trained_shapes)

    every = served.answers(files)
    top = served.predict(files)
    classes = answers(served, "classify", inputs=serialised(files))
    view = answers(served, "decode", image_bytes=tf.constant(files))["image"]
    tensor = answers(served, "predict_tensor", image=tf.constant(view, tf.float32))

    assert set(served.loaded.signatures) == {
        "serving_default", "decode", "predict_image", "predict_tensor", "assess", "embed",
        "classify",
    }  # fmt: skip
    assert np.abs(every.sum(axis=1) - 1).max() > 0.3
    assert every.min() >= 0
    assert every.max() <= 1
    assert np.allclose(tensor["probabilities"], every, atol=1e-6)
    assert np.allclose(classes["scores"], every, atol=1e-5)
    assert classes["classes"][0].tolist() == [b"bar", b"disc", b"square"]
    assert np.allclose(top["scores"], -np.sort(-every, axis=1), atol=1e-5)


def test_published_numbers_are_answered_by_every_signature(trained_discs: Any) -> None:
    import tensorflow as tf

    served, files = load_served_model(trained_discs.version), files_of(trained_discs)

    view = answers(served, "decode", image_bytes=tf.constant(files))["image"]
    told = {
        "serving_default": served.predict(files),
        "predict_image": answers(served, "predict_image", image=tf.constant(view)),
        "predict_tensor": answers(served, "predict_tensor", image=tf.constant(view, tf.float32)),
        "assess": answers(served, "assess", image=tf.constant(view)),
        "regress": answers(served, "regress", inputs=serialised(files)),
    }

    assert set(served.loaded.signatures) == {*told, "decode", "embed"}
    for name, answer in told.items():
        assert set(answer) == {"outputs"}, name
        assert answer["outputs"].dtype == np.float32, name
        assert answer["outputs"].shape == (len(files),), name
        np.testing.assert_allclose(answer["outputs"], told["regress"]["outputs"], rtol=1e-4)
    (spec,) = served.loaded.signatures["regress"].structured_input_signature[1].values()
    assert spec.name == "inputs"


@pytest.mark.parametrize("which", ["trained_shapes", "trained_discs"])
def test_manifest_says_what_the_model_answers(which: str, request: pytest.FixtureRequest) -> None:
    trained = request.getfixturevalue(which)
    facts, data = manifest(trained), trained.plan.data

    assert facts["problem"] == data.problem
    assert facts["class_names"] == list(data.class_names)
    assert facts["metrics"] == trained.result.exported.metrics
    assert facts["outcome"] == {}
    if data.problem == "regression":
        values = data.side("train").values
        assert facts["training_values"]["mean"] == pytest.approx(values.mean())
        assert facts["training_values"]["largest"] == values.max()
    assert (trained.version / "assets.extra" / "tf_serving_warmup_requests").is_file()


@pytest.mark.parametrize(
    ("which", "headline"),
    [("trained_shapes", "mean_average_precision"), ("trained_discs", "mae")],
)
def test_store_and_record_name_the_headline(
    which: str, headline: str, request: pytest.FixtureRequest
) -> None:
    trained = request.getfixturevalue(which)
    tags, metrics = tags_and_metrics(trained)
    outcome = json.loads((trained.run / "run.json").read_text())["outcome"]

    assert tags["tl.problem"] == trained.plan.data.problem
    assert tags["tl.headline"] == f"test.{headline}"
    assert outcome["headline"] == headline
    value = trained.result.exported.metrics[headline]
    assert metrics[f"test.{headline}"] == pytest.approx(value)
    assert outcome["metrics"][headline] == value
    assert {"curves.png", "metrics.json"} <= {path.name for path in trained.run.iterdir()}


@pytest.mark.parametrize("which", ["trained_shapes", "trained_discs"])
def test_another_export_answers_alike(
    which: str, request: pytest.FixtureRequest, tmp_path: Path, redirect_export: Any
) -> None:
    from pipelines.export import export_run
    from pipelines.reopen import reopen_data

    trained = request.getfixturevalue(which)
    run = tmp_path / "runs" / trained.run.name
    shutil.copytree(trained.run, run)
    redirect_export(run, tmp_path / "models")

    again = export_run(run, reopen_data(run))

    assert again.problem == trained.plan.data.problem
    assert again.metrics.keys() == trained.result.exported.metrics.keys()
    for key, value in trained.result.exported.metrics.items():
        if isinstance(value, float):
            assert again.metrics[key] == pytest.approx(value, rel=1e-3)


@pytest.mark.parametrize(
    ("which", "setting"),
    [("trained_shapes", {}), ("trained_discs", {"label_column": "diameter"})],
)
def test_evaluation_takes_the_stored_test_pictures(
    which: str, setting: dict[str, str], request: pytest.FixtureRequest
) -> None:
    from pipelines.evaluate import evaluate
    from tl.config import DataConfig

    trained = request.getfixturevalue(which)

    found = evaluate(trained.version, str(trained.dataset), data=DataConfig(**setting))  # type: ignore[arg-type]

    exported = trained.result.exported.metrics
    assert found.problem == trained.plan.data.problem
    assert found.measured_on == f"the stored test split, {exported['n_pictures']} pictures"
    assert found.metrics == exported
    averaged = evaluate(
        trained.version, str(trained.dataset), tta="ten-crop", data=DataConfig(**setting)  # type: ignore[arg-type]
    )  # fmt: skip
    assert averaged.metrics.keys() == exported.keys()
    assert averaged.metrics != exported


def test_evaluation_on_fewer_of_several_classes(
    trained_shapes: Any, make_picture: Any, tmp_path: Path
) -> None:
    from PIL import Image

    from pipelines.evaluate import evaluate

    for name in ("square", "disc"):
        (tmp_path / "new" / name).mkdir(parents=True)
        for number in range(3):
            picture = Image.fromarray(make_picture(len(name) % 3, 50 + number))
            picture.save(tmp_path / "new" / name / f"{number}.png")

    found = evaluate(trained_shapes.version, str(tmp_path / "new"))

    counts = {name: row["n_pictures"] for name, row in found.metrics["per_class"].items()}
    assert counts == {"bar": 0, "disc": 3, "square": 3}
    assert found.metrics["per_class"]["bar"]["average_precision"] is None


def test_evaluation_refuses_labels_of_another_problem(
    trained_discs: Any, trained_shapes: Any
) -> None:
    from pipelines.evaluate import evaluate
    from tl.config import DataConfig

    with pytest.raises(DatasetError, match="column 'labels' is .* no finite number"):
        evaluate(trained_discs.version, str(trained_shapes.dataset))
    with pytest.raises(ConfigError, match="'regression', but .* answers multi_label"):
        evaluate(
            trained_shapes.version,
            str(trained_discs.dataset),
            data=DataConfig(problem="regression"),
        )


def test_prediction_of_numbers_has_a_value(trained_discs: Any, discs: Path) -> None:
    from pipelines.predict import predict

    (one, other), faults = predict(
        str(trained_discs.version), [discs.parent / "00.jpg", discs.parent / "01.jpg"]
    )

    assert not faults
    assert (one.labels, one.scores) == ((), ())
    assert one.value is not None
    assert other.value is not None
    assert 2000 < one.value < 7000
    assert one.value != other.value


@pytest.mark.slow
def test_stopped_run_over_numbers_goes_on_in_their_unit(
    discs: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.finetune import finetune, resume
    from pipelines.plan import make_plan
    from pipelines.resume import plan_resumption
    from tl.config_reading import read_config
    from tl.errors import Interrupted
    from tl.training.progress import Silent

    class Stop(Silent):
        def step_done(self, phase: str, epoch: int, step: int, images: int) -> None:
            if phase.startswith("fine-tune") and (epoch, step) == (2, 2):
                raise KeyboardInterrupt

    shutil.copytree(discs.parent, tmp_path / "discs")
    table = tmp_path / "discs" / "discs.csv"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "unknown-scheme://store")
    plain = {"augment.recipe": "none", "augment.feature_views": 0, "training.penalty": 1e4,
             "training.checkpoint_seconds": 0.0, "data.problem": "regression",
             "data.label_column": "diameter"}  # fmt: skip
    config = read_config(None, (), {"dataset": str(table), **settings, **plain})
    plan = make_plan(config)
    with pytest.raises(Interrupted):
        finetune(plan, Stop())
    (run,) = (tmp_path / "runs").iterdir()

    before = table.read_text()
    learned = plan.data.side("train").keys[0]
    table.write_text(re.sub(f"{learned},.*", f"{learned},1234.5", before))
    with pytest.raises(DatasetError, match="other ones or with other labels"):
        plan_resumption(run)
    table.write_text(before)
    resumed = resume(plan_resumption(run))
    whole = finetune(make_plan(config))

    assert [one.metrics for one in resumed.records] == [one.metrics for one in whole.records]
    assert resumed.exported is not None
    assert whole.exported is not None
    assert resumed.exported.metrics == whole.exported.metrics
