"""What people see: the report, and MLflow's interface on real runs, in a real browser.

Screenshots land in build/screenshots for those who want to look.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Page, browsing, find_chromium
from tl.mlflow_view import view_address

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium: apt-get install chromium"),
]
SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """One browser for all tests here."""
    with browsing(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.mark.parametrize("kind", ["trained", "trained_shapes", "trained_discs"])
@pytest.mark.parametrize("window", ["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_report_is_readable(
    kind: str, window: str, scheme: str, browser: Page, request: pytest.FixtureRequest
) -> None:
    url = (request.getfixturevalue(kind).run / "report.html").as_uri()

    browser.open(url, **(PHONE if window == "phone" else {}), dark=scheme == "dark")
    browser.screenshot(SCREENSHOTS / f"report-{kind}-{window}-{scheme}.png", whole=True)

    assert browser.complaints == []
    assert [one for one in browser.addresses if not one.startswith("data:")] == [url]
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    pictures = "[...document.images]"
    assert browser.evaluate(f"{pictures}.length") > 5
    assert browser.evaluate(f"{pictures}.every(one => one.naturalWidth > 0)")
    text, ground = browser.evaluate(
        "['color', 'backgroundColor'].map(one => getComputedStyle(document.body)[one])"
    )
    is_light_text = text == "rgb(255, 255, 255)"
    assert is_light_text == (scheme == "dark"), (text, ground)


def test_cell_of_the_confusion_matrix_opens_its_pictures(trained: Any, browser: Page) -> None:
    url = (trained.run / "report.html").as_uri()
    browser.open(url)
    name = browser.evaluate("document.querySelector('td.wrong a').hash")
    shown = f"getComputedStyle(document.querySelector('{name}')).display"
    assert browser.evaluate(shown) == "none"

    browser.evaluate("document.querySelector('td.wrong a').click()")
    browser.wait_for(f"{shown} === 'block'")
    browser.screenshot(SCREENSHOTS / "report-cell.png")
    top = browser.evaluate(f"document.querySelector('{name}').getBoundingClientRect().top")
    assert -1 < top < 1000
    assert browser.evaluate(f"document.querySelector('{name} img').naturalWidth") > 0

    browser.evaluate(f"document.querySelector('{name} a.close').click()")
    browser.wait_for(f"{shown} === 'none'")


def test_report_prints(trained: Any, browser: Page) -> None:
    browser.open((trained.run / "report.html").as_uri())
    browser.print(SCREENSHOTS / "report.pdf")

    text = (SCREENSHOTS / "report.pdf").read_bytes()
    assert text.startswith(b"%PDF")
    assert 3 <= max(int(count) for count in re.findall(rb"/Count (\d+)", text)) <= 20


@pytest.fixture(scope="module")
def store(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any]]:
    """`tl experiments` on a store with two runs: its address, and the second run."""
    from pipelines.finetune import finetune

    home = shutil.copytree(trained.home, tmp_path_factory.mktemp("store") / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        plan = trained.plan
        training = replace(plan.config.training, strategy="features")
        other = finetune(replace(plan, config=replace(plan.config, training=training)))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    root = str(Path(__file__).parents[2])
    with (home / "server.txt").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "tl.cli", "experiments", "--port", str(port)],
            cwd=home, env={**os.environ, "PYTHONPATH": root}, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{port}"
        end = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, (home / "server.txt").read_text()
                assert time.monotonic() < end, (home / "server.txt").read_text()
                time.sleep(0.5)
        yield address, other
    finally:
        server.terminate()
        server.wait(30)


def asked(address: str, what: str, **facts: Any) -> dict[str, Any]:
    """Ask MLflow's REST interface."""
    request = urllib.request.Request(
        f"{address}/api/2.0/mlflow/{what}",
        json.dumps(facts).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def top_1_accuracy(run: dict[str, Any]) -> float:
    figures = {one["key"]: float(one["value"]) for one in run["data"]["metrics"]}
    return figures["test.top_1_accuracy"]


def test_mlflow_shows_experiment_runs_metrics_pictures_and_artefacts(
    store: tuple[str, Any], trained: Any, browser: Page
) -> None:
    address, other = store
    named = {
        one["name"]: one["experiment_id"]
        for one in asked(address, "experiments/search", max_results=10)["experiments"]
    }
    experiment = named[trained.plan.name]
    runs = asked(address, "runs/search", experiment_ids=[experiment])["runs"]
    found = {one["info"]["run_name"]: one for one in runs}
    ids = {name: one["info"]["run_id"] for name, one in found.items()}
    names = (trained.run.name, other.run.name)
    run = f"{address}/#/experiments/{experiment}/runs/{ids[trained.run.name]}"

    def look(name: str, url: str, *words: str, width: int = 1600) -> str:
        browser.open(url, width, 1200)
        text = browser.wait_for_text(*words)
        browser.screenshot(SCREENSHOTS / f"mlflow-{name}.png")
        return text

    look("experiments", f"{address}/#/experiments", trained.plan.name)
    look("runs", f"{address}/#/experiments/{experiment}/runs", *names, "tl finetune")
    # The view that `tl experiments` links to: the best first, and whether they differ at all.
    tags = {one["key"]: one["value"] for one in found[other.run.name]["data"]["tags"]}
    assert trained.run.name in tags["tl.against_best"]
    text = look(
        "view",
        view_address(address, experiment),
        *names,
        *tags["tl.against_best"].split(":"),
        width=2600,
    )
    accuracy = {name: top_1_accuracy(run) for name, run in found.items()}
    first, second = sorted(names, key=text.index)
    assert accuracy[first] >= accuracy[second]
    metrics = json.loads((trained.run / "metrics.json").read_text())
    text = look("run", run, names[0], "test.top_1_accuracy", "model.backbone", "Finished")
    assert str(metrics["top_1_accuracy"])[:6] in text
    look("metrics", f"{run}/model-metrics", "fine-tune_last.val_loss")  # drawn as far as one sees
    files = ("confusion_matrix.png", "curves.png", "evaluation.json", "predictions.parquet")
    look("artefacts", f"{run}/artifacts", "report.html", *files)

    look("confusion", f"{run}/artifacts/confusion_matrix.png", "confusion_matrix.png")
    browser.wait_for("[...document.images].some(one => one.naturalWidth > 300)")
    browser.screenshot(SCREENSHOTS / "mlflow-confusion.png")
    look("report", f"{run}/artifacts/report.html", "report.html")
    browser.wait_for("document.querySelector('iframe') !== null")
    time.sleep(2)
    browser.screenshot(SCREENSHOTS / "mlflow-report.png")
    chosen = json.dumps(list(ids.values()))
    compare = f"{address}/#/compare-runs?runs={chosen}&experiments=[%22{experiment}%22]"
    look("compare", compare.replace('"', "%22"), *names, "test.top_1_accuracy")
