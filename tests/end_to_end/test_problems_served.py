"""Several labels and numbers, from a table to answers over HTTP and gRPC, with users' commands."""

import base64
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
TL = str(Path(sys.executable).with_name("tl"))
FLAGS = ["--backbone", "tl_small", "--image-size", "32", "--epochs", "1", "--batch-size", "8",
         "--set", "augment.feature_views=0", "--set", "augment.recipe=none",
         "--set", "evaluation.robustness=0", "--set", "evaluation.suspects=false"]  # fmt: skip


def run(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [TL, *map(str, words)], cwd=cwd, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def home(shapes: Path, discs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a model of each problem."""
    folder = tmp_path_factory.mktemp("by_hand")
    several = run("finetune", "--dataset", shapes, *FLAGS, cwd=folder)
    assert "mAP       0." in several.stdout or "mAP       1." in several.stdout
    assert "by chance)" in several.stdout
    numbers = run("finetune", "--dataset", discs, "--problem", "regression", *FLAGS,
                  "--set", "data.label_column=diameter", cwd=folder)  # fmt: skip
    assert "error     " in numbers.stdout
    assert "for always saying the training mean)" in numbers.stdout
    return folder


@pytest.fixture(scope="module")
def addresses(home: Path) -> Iterator[dict[str, str]]:
    with (home / "server.log").open("w") as log:
        process = subprocess.Popen(
            [TL, "serve", "models", "--port", "0", "--rest-api-port", "0"],
            cwd=home, stdout=subprocess.PIPE, stderr=log, text=True, env=os.environ,
        )  # fmt: skip
        assert process.stdout is not None
        yield dict(process.stdout.readline().split() for _ in range(2))
        process.terminate()
        process.wait(60)
        process.stdout.close()


def said(home: Path, target: str, picture: Path) -> Any:
    (row,) = json.loads(run("predict", target, picture, "--json", cwd=home).stdout)
    return row


@pytest.mark.parametrize("model", ["shapes", "discs"])
def test_certificate_holds_keras_savedmodel_rest_and_grpc_together(home: Path, model: str) -> None:
    manifest = home / "models" / model / "1" / "assets.extra" / "tl.json"
    parity = json.loads(manifest.read_text())["parity"]
    assert parity["n_pictures"] > 30
    for way in ("keras", "rest", "grpc"):
        assert 0 <= parity[way]["largest_score_difference"] <= parity["bound"][way]


def test_number_is_the_same_from_disk_http_and_grpc(
    home: Path, discs: Path, addresses: dict[str, str]
) -> None:
    picture = discs.parent / "00.jpg"

    local = said(home, "models/discs", picture)
    rest = said(home, f"{addresses['REST']}/discs", picture)
    grpc = said(home, f"grpc://{addresses['gRPC']}/discs", picture)

    assert 2000 < local["value"] < 7000
    assert rest["value"] == pytest.approx(local["value"], rel=1e-5)
    assert grpc["value"] == pytest.approx(local["value"], rel=1e-5)


def test_several_labels_are_the_same_from_disk_http_and_grpc(
    home: Path, shapes: Path, addresses: dict[str, str]
) -> None:
    picture = shapes.parent / "00.jpg"

    local = said(home, "models/shapes", picture)
    rest = said(home, f"{addresses['REST']}/shapes", picture)
    grpc = said(home, f"grpc://{addresses['gRPC']}/shapes", picture)

    assert sorted(local["labels"]) == ["bar", "disc", "square"]
    assert local["labels"] == rest["labels"] == grpc["labels"]
    assert rest["scores"] == pytest.approx(local["scores"], abs=1e-5)
    assert grpc["scores"] == pytest.approx(local["scores"], abs=1e-5)


def test_classify_and_regress_answer_over_http_and_grpc(
    home: Path, shapes: Path, discs: Path, addresses: dict[str, str]
) -> None:
    import grpc
    from tensorflow_serving.apis import (
        classification_pb2,
        prediction_service_pb2_grpc,
        regression_pb2,
    )

    picture = discs.parent / "00.jpg"
    value = said(home, "models/discs", picture)["value"]
    local = said(home, "models/shapes", picture)
    scores = dict(zip(local["labels"], local["scores"], strict=True))

    (number,) = posted(f"{addresses['REST']}/v1/models/discs:regress", "regress", picture)
    assert number == pytest.approx(value, rel=1e-5)
    (pairs,) = posted(f"{addresses['REST']}/v1/models/shapes:classify", "classify", picture)
    assert dict(pairs) == pytest.approx(scores, abs=1e-5)

    with grpc.insecure_channel(addresses["gRPC"]) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        for kind, model, signature, call in (
            (regression_pb2.RegressionRequest, "discs", "regress", stub.Regress),
            (classification_pb2.ClassificationRequest, "shapes", "classify", stub.Classify),
        ):
            request = kind()
            request.model_spec.name, request.model_spec.signature_name = model, signature
            feature = request.input.example_list.examples.add().features.feature["image_bytes"]
            feature.bytes_list.value.append(picture.read_bytes())
            result = call(request, timeout=60).result
            if signature == "regress":
                assert result.regressions[0].value == pytest.approx(value, rel=1e-5)
            else:
                told = {one.label: one.score for one in result.classifications[0].classes}
                assert told == pytest.approx(scores, abs=1e-5)


def posted(url: str, signature: str, picture: Path) -> Any:
    encoded = base64.b64encode(picture.read_bytes()).decode()
    body = {"signature_name": signature, "examples": [{"image_bytes": {"b64": encoded}}]}
    request = urllib.request.Request(url, json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.loads(response.read())["results"]


def test_metadata_has_what_regress_and_classify_ask_for(addresses: dict[str, str]) -> None:
    for model, name, outputs in (
        ("discs", "regress", {"outputs"}),
        ("shapes", "classify", {"classes", "scores"}),
    ):
        url = f"{addresses['REST']}/v1/models/{model}/metadata"
        with urllib.request.urlopen(url, timeout=30) as response:
            facts = json.loads(response.read())
        signatures = facts["metadata"]["signature_def"]["signature_def"]
        assert ("regress" in signatures) == (name == "regress")
        assert set(signatures[name]["inputs"]) == {"inputs"}
        assert signatures[name]["inputs"]["inputs"]["dtype"] == "DT_STRING"
        assert set(signatures[name]["outputs"]) == outputs
