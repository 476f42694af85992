import dataclasses
import json
import os
import re
from pathlib import Path

import pytest

from tl.config import RunConfig, TrainingConfig
from tl.errors import ConfigError
from tl.run_folder import RUNS, RunRecord, find_run, new_run_id, read_record, write_record

RECORD = RunRecord(
    id="20250101-120000-flowers-ab12",
    name="flowers",
    config=RunConfig(dataset="flowers", training=TrainingConfig(epochs=3)),
    backbone="mobilenet_v2",
    weights={"source": "imagenet", "sha256": None},
    image_size=(96, 128),
    class_names=("Gänseblümchen", "rose"),
    fingerprint="0" * 32,
    class_counts={"train": {"Gänseblümchen": 3, "rose": 4}},
    order="1" * 32,
    device="CPU",
    versions={"tl": "0.1.0"},
    outcome={"accuracy": 0.5, "labels": [1, 2]},
)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty runs/ in the working directory."""
    monkeypatch.chdir(tmp_path)
    RUNS.mkdir()
    return RUNS


def make_run(runs: Path, name: str) -> Path:
    (runs / name).mkdir()
    write_record(runs / name, dataclasses.replace(RECORD, id=name))
    return runs / name


def test_record_round_trips(tmp_path: Path) -> None:
    write_record(tmp_path, RECORD)

    assert read_record(tmp_path) == RECORD
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_record_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    write_record(tmp_path, RECORD)

    with pytest.raises(TypeError):
        write_record(tmp_path, dataclasses.replace(RECORD, outcome={"model": object()}))

    assert read_record(tmp_path) == RECORD


def test_interrupted_write_leaves_the_old_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_record(tmp_path, RECORD)

    def fail(*paths: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_record(tmp_path, dataclasses.replace(RECORD, state="finished"))

    assert read_record(tmp_path).state == "running"


def test_folder_without_a_record_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is no run: run\.json: No such file"):
        read_record(tmp_path)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "7", "{}", '{"config": {}}', '{"config": {"dataset": "a"}}'],
)
def test_record_that_is_no_record_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)

    with pytest.raises(
        ConfigError, match=r"run\.json (is damaged|was not written by this version of tl)"
    ):
        read_record(tmp_path)


@pytest.mark.parametrize("key", [field.name for field in dataclasses.fields(RunRecord)])
def test_record_with_a_damaged_field_is_refused(key: str, tmp_path: Path) -> None:
    write_record(tmp_path, RECORD)
    facts = json.loads((tmp_path / "run.json").read_text())
    facts[key] = 5
    (tmp_path / "run.json").write_text(json.dumps(facts))

    with pytest.raises(ConfigError, match=r"run\.json"):
        read_record(tmp_path)


def test_record_with_an_unknown_field_or_setting_is_refused_with_the_file(tmp_path: Path) -> None:
    write_record(tmp_path, RECORD)
    facts = json.loads((tmp_path / "run.json").read_text())

    (tmp_path / "run.json").write_text(json.dumps(facts | {"colour": 1}))
    with pytest.raises(ConfigError, match=r"run\.json was not written by this version"):
        read_record(tmp_path)

    facts["config"]["training"]["epocs"] = 1
    (tmp_path / "run.json").write_text(json.dumps(facts))
    with pytest.raises(ConfigError, match=r"run\.json .*unknown setting 'training\.epocs'"):
        read_record(tmp_path)


def test_record_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(b"\xff\xfe{}")

    with pytest.raises(ConfigError, match="was not written by this version"):
        read_record(tmp_path)


def test_new_ids_sort_by_time_and_name_the_model() -> None:
    ids = {new_run_id("flowers") for _ in range(50)}

    assert all(re.fullmatch(r"\d{8}-\d{6}-flowers-[0-9a-f]{4}", one) for one in ids)
    assert len(ids) > 45


def test_run_is_found_by_path(runs: Path, tmp_path: Path) -> None:
    folder = make_run(runs, "20250101-120000-flowers-ab12")

    assert find_run(str(folder)) == folder
    assert find_run(str(folder.resolve())) == folder.resolve()


@pytest.mark.parametrize(
    "part", ["20250101", "ab12", "flowers-ab12", "20250101-120000-flowers-ab12"]
)
def test_run_is_found_by_its_beginning_and_end(part: str, runs: Path) -> None:
    folder = make_run(runs, "20250101-120000-flowers-ab12")
    make_run(runs, "20250202-120000-flowers-cd34")

    assert find_run(part) == folder


def test_whole_name_wins_over_longer_ones(runs: Path) -> None:
    folder = make_run(runs, "mine")
    make_run(runs, "mine-2")

    assert find_run("mine") == folder


def test_several_matches_are_listed(runs: Path) -> None:
    make_run(runs, "20250101-120000-flowers-ab12")
    make_run(runs, "20250101-130000-flowers-cd34")

    with pytest.raises(ConfigError, match="several runs match '20250101': .*ab12, .*cd34"):
        find_run("20250101")


def test_what_is_no_run_is_not_found(runs: Path) -> None:
    folder = make_run(runs, "20250101-120000-flowers-ab12")
    (runs / "20250101.log").write_text("x")
    (runs / "20250101-half-made").mkdir()

    assert find_run("20250101") == folder


def test_unknown_run_suggests_the_nearest(runs: Path) -> None:
    make_run(runs, "20250101-120000-flowers-ab12")

    with pytest.raises(ConfigError, match=r"no run '20250101-120000-flovers'.*ab12"):
        find_run("20250101-120000-flovers")


def test_nothing_to_find_where_there_are_no_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError, match="no run 'x' below"):
        find_run("x")
    with pytest.raises(ConfigError, match="the name of a run is empty"):
        find_run("")
