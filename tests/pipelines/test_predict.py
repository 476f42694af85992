"""Predictions of a server: the files that can be read, in order, each once for each mention."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.predict import predict
from tests.serving.scripted_servers import Script, ScriptedRest, Step
from tl.errors import PredictionError


def sizes_as_answers(values: list[bytes]) -> dict[str, Any]:
    labels = [[str(len(value)), "other"] for value in values]
    return {"labels": labels, "scores": [[0.75, 0.25]] * len(values)}


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    made = []
    for side in range(1, 31):
        made.append(tmp_path / f"{side}.png")
        Image.fromarray(np.zeros((side, side, 3), np.uint8)).save(made[-1])
    return made


def test_readable_pictures_are_answered_in_order_and_the_others_named(files: list[Path]) -> None:
    files[7].write_text("no picture")
    with ScriptedRest(Script(Step.ANSWER_LATE, answer=sizes_as_answers)) as server:
        predictions, faults = predict(server.url, [*files, files[0], Path("gone.jpg")])

    readable = [*files[:7], *files[8:], files[0]]
    assert [one.file for one in predictions] == [str(file) for file in readable]
    assert [one.labels[0] for one in predictions] == [str(file.stat().st_size) for file in readable]
    assert predictions[0].scores == (0.75, 0.25)
    assert [fault.split(":")[0] for fault in faults] == [str(files[7]), "cannot read gone.jpg"]
    assert server.script.most_at_once > 1


def test_nobody_is_asked_where_nothing_can_be_read() -> None:
    predictions, faults = predict("http://127.0.0.1:9", [Path("gone.jpg")])
    assert (predictions, len(faults)) == ([], 1)


def test_error_of_the_server_names_the_files_it_is_about(files: list[Path]) -> None:
    with (
        ScriptedRest(Script(Step.SAY_INVALID)) as server,
        pytest.raises(PredictionError, match=f"^{files[0]} to {files[7]}: http.*400"),
    ):
        predict(server.url, files)


def test_model_of_somebody_else_is_no_model_of_tl(files: list[Path]) -> None:
    with (
        ScriptedRest(Script(Step.ANSWER)) as server,
        pytest.raises(PredictionError, match="answers with place, size, and not with labels"),
    ):
        predict(server.url, files)
