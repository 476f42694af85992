"""Labels in models.config: moved, gone back, refused; readable by TF Serving's own messages."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from tl.errors import ConfigError, PromotionError
from tl.promotion import (
    CONFIG,
    HISTORY,
    JOURNAL,
    begin,
    check_label,
    finish,
    locked,
    read_history,
    read_journal,
    read_labels,
    serve_label,
    version_before,
)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    for version in (1, 2, 3):
        (tmp_path / "models" / "flowers" / str(version)).mkdir(parents=True)
    return tmp_path / "models"


def move(
    models: Path, version: int, label: str = "champion", model: str = "flowers", back: bool = False
) -> None:
    promotion = begin(models, model, label, version, f"run-{version}", back=back)
    serve_label(models, promotion)
    finish(models, promotion)


def config_of(models: Path) -> model_server_config_pb2.ModelServerConfig:
    message = model_server_config_pb2.ModelServerConfig()
    return text_format.Parse((models / CONFIG).read_text(), message)


def test_label_and_versions_are_what_a_server_is_to_load(models: Path) -> None:
    move(models, 2)
    (entry,) = config_of(models).model_config_list.config
    assert entry.name == "flowers"
    assert entry.base_path == str((models / "flowers").resolve())
    assert entry.model_platform == "tensorflow"
    assert dict(entry.version_labels) == {"champion": 2}
    assert list(entry.model_version_policy.specific.versions) == [2]

    move(models, 3)
    move(models, 1, "canary")
    (entry,) = config_of(models).model_config_list.config
    assert dict(entry.version_labels) == {"champion": 3, "canary": 1}
    # The canary has no version before; the champion's was loaded until the next change.
    assert list(entry.model_version_policy.specific.versions) == [1, 3]
    assert not (models / JOURNAL).exists()
    assert [one.version for one in read_history(models)] == [2, 3, 1]


def test_version_before_stays_loaded_until_the_next_change(models: Path) -> None:
    move(models, 1)
    move(models, 2)
    (entry,) = config_of(models).model_config_list.config
    assert list(entry.model_version_policy.specific.versions) == [1, 2]


def test_server_of_ours_reads_the_file(models: Path) -> None:
    from serving.models_file import read_models_file

    move(models, 2)
    (model,) = read_models_file(models / CONFIG)
    assert model.labels == {"champion": 2}
    assert model.policy.versions == frozenset({2})


def test_what_a_person_wrote_into_the_file_stays(models: Path) -> None:
    (models / CONFIG).write_text(
        """model_config_list {
          config { name: "other" base_path: "/srv/other" model_platform: "tensorflow" }
          config { name: "flowers" base_path: "/srv/flowers" model_platform: "tensorflow"
            model_version_policy { all {} }
            logging_config { sampling_config { sampling_rate: 0.5 } } }
        }"""
    )
    move(models, 2)
    other, entry = config_of(models).model_config_list.config
    assert other.name == "other"
    assert entry.base_path == "/srv/flowers"
    assert entry.model_version_policy.WhichOneof("policy_choice") == "all"
    assert entry.logging_config.sampling_config.sampling_rate == 0.5
    assert dict(entry.version_labels) == {"champion": 2}


def test_policy_of_the_newest_gives_way_only_where_it_would_not_load_the_version(
    models: Path,
) -> None:
    text = (
        'model_config_list {{ config {{ name: "flowers" base_path: "/f" '
        'model_platform: "tensorflow" '
        "model_version_policy {{ latest {{ num_versions: {} }} }} }} }}"
    )
    (models / CONFIG).write_text(text.format(2))
    move(models, 2)
    (entry,) = config_of(models).model_config_list.config
    assert entry.model_version_policy.latest.num_versions == 2
    move(models, 1)
    (entry,) = config_of(models).model_config_list.config
    assert list(entry.model_version_policy.specific.versions) == [1, 2]


def test_going_back_goes_back_step_by_step(models: Path) -> None:
    for version in (1, 2, 3):
        move(models, version)
    assert version_before(models, "flowers", "champion") == 2
    move(models, 2, back=True)
    assert version_before(models, "flowers", "champion") == 1
    move(models, 1, back=True)
    with pytest.raises(PromotionError, match="flowers 1 is the first version that was champion"):
        version_before(models, "flowers", "champion")


@pytest.mark.parametrize(
    ("promoted", "before"), [((1, 2, 1), 2), ((1, 2, 3, 2), 3), ((2, 3, 1, 3), 1), ((1, 1, 2), 1)]
)
def test_version_that_is_promoted_again_is_no_way_back(
    models: Path, promoted: tuple[int, ...], before: int
) -> None:
    for version in promoted:
        move(models, version)
    assert version_before(models, "flowers", "champion") == before


def test_promotion_after_going_back_can_be_taken_back(models: Path) -> None:
    for version in (1, 2, 3):
        move(models, version)
    move(models, 2, back=True)
    move(models, 3)
    assert version_before(models, "flowers", "champion") == 2
    move(models, 2, back=True)
    assert version_before(models, "flowers", "champion") == 1


def test_nothing_to_go_back_to_is_said(models: Path) -> None:
    with pytest.raises(PromotionError, match="no version of flowers is champion; it has no labels"):
        version_before(models, "flowers", "champion")
    move(models, 1)
    move(models, 2)
    (models / "flowers" / "1").rmdir()
    with pytest.raises(PromotionError, match="has no version 1, it may have been deleted"):
        version_before(models, "flowers", "champion")


def test_deleted_version_is_refused_and_nothing_changes(models: Path) -> None:
    move(models, 2)
    before = (models / CONFIG).read_text()
    (models / "flowers" / "3").rmdir()
    with pytest.raises(PromotionError, match="no version 3, it may have been deleted; there are 1"):
        begin(models, "flowers", "champion", 3, "")
    assert (models / CONFIG).read_text() == before
    assert read_journal(models) is None


def test_interrupted_promotion_is_done_again_without_doubling(models: Path) -> None:
    move(models, 1)
    promotion = begin(models, "flowers", "champion", 2, "run-2")
    serve_label(models, promotion)
    found = read_journal(models)
    assert found == promotion
    assert found is not None
    serve_label(models, found)
    finish(models, found)
    # As if killed between the history and the journal.
    (models / JOURNAL).write_text(json.dumps(dataclasses.asdict(found)))
    finish(models, found)
    assert read_labels(models) == {"flowers": {"champion": 2}}
    assert len((models / HISTORY).read_text().splitlines()) == 2
    assert read_journal(models) is None


def test_second_promotion_waits_for_the_first(models: Path) -> None:
    begin(models, "flowers", "champion", 1, "")
    with pytest.raises(PromotionError, match="promotion of flowers 1 to champion is not finished"):
        begin(models, "flowers", "champion", 2, "")


def test_damaged_files_are_named(models: Path) -> None:
    (models / CONFIG).write_text("model_config_list { nonsense")
    with pytest.raises(PromotionError, match="cannot read .*models.config"):
        read_labels(models)
    (models / JOURNAL).write_text('{"model": "flow')
    with pytest.raises(PromotionError, match=r"\.promotion\.json cannot be read"):
        read_journal(models)


def test_one_process_at_a_time(models: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tl.promotion import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(models)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(PromotionError, match="another tl command"), locked(models):
            pass
        process.kill()
    with locked(models):
        pass


@pytest.mark.parametrize("label", ["", "a b", "a/b", "v3", "latest", "-x", "x" * 101, "ä"])
def test_labels_that_cannot_be_are_refused(label: str) -> None:
    with pytest.raises(ConfigError, match="label"):
        check_label(label)


@pytest.mark.parametrize("label", ["champion", "canary-2", "v", "vienna"])
def test_labels_that_can_be(label: str) -> None:
    assert check_label(label) == label
