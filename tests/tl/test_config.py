import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tl.config import DataConfig, RunConfig, TrainingConfig
from tl.config_reading import config_from_json, read_config
from tl.errors import ConfigError
from tl.model_name import check_model_name, model_name_of

TOML = """
dataset = "flowers"
seed = 3

[training]
epochs = 7
learning_rate = 1

[data]
val_fraction = 0.2
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(TOML)
    return path


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def settings_of(*settings: str) -> RunConfig:
    return read_config(None, settings, {"dataset": "digits"})


def test_file_sets_what_it_names_and_leaves_the_rest() -> None:
    config = RunConfig(dataset="digits")

    assert config.training.epochs == 15
    assert config.data == DataConfig()


def test_toml_file_is_read(file: Path) -> None:
    config = read_config(file)

    assert config == RunConfig(
        dataset="flowers",
        seed=3,
        training=TrainingConfig(epochs=7, learning_rate=1.0),
        data=DataConfig(val_fraction=0.2),
    )
    assert type(config.training.learning_rate) is float


def test_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_bytes(b"\xef\xbb\xbf" + TOML.encode())

    assert read_config(path).seed == 3


def test_settings_take_toml_values_and_bare_words() -> None:
    config = settings_of(
        "training.learning_rate=1e-3", "model.backbone=resnet50", 'model.weights="a b.h5"',
        "augment.recipe = light", "model.image_size=96", "data.split_file=runs/a=b/split.json",
    )  # fmt: skip

    assert config.training.learning_rate == 1e-3
    assert config.model.backbone == "resnet50"
    assert config.model.weights == "a b.h5"
    assert config.augment.recipe == "light"
    assert config.model.image_size == 96
    assert config.data.split_file == "runs/a=b/split.json"


@pytest.mark.parametrize("text", ["2024", "1e5", "true", "2024-05-01", "08:30:00", "[1]"])
def test_settings_of_text_need_no_quotes_whatever_they_look_like(text: str) -> None:
    config = settings_of(f"experiment={text}", f"model.weights={text}")

    assert config.experiment == text
    assert config.model.weights == text


def test_number_or_word_takes_both() -> None:
    assert settings_of("training.batch_size=auto").training.batch_size == "auto"
    assert settings_of('training.batch_size="auto"').training.batch_size == "auto"
    assert settings_of("training.batch_size=48").training.batch_size == 48
    assert read_config(None, (), {"dataset": "a", "training.batch_size": 8}).training.replicas == (
        "auto"
    )


def test_flags_win_over_settings_and_settings_over_the_file(file: Path) -> None:
    config = read_config(
        file,
        ["seed=4", "training.epochs=8", "training.patience=2"],
        {"training.epochs": 9, "name": "roses"},
    )

    assert config.seed == 4
    assert config.training.epochs == 9
    assert config.training.patience == 2
    assert config.data.val_fraction == 0.2
    assert config.name == "roses"


def test_flags_that_were_not_given_do_not_count(file: Path) -> None:
    config = read_config(file, flags={"dataset": None, "training.epochs": None, "seed": 0})

    assert config.dataset == "flowers"
    assert config.training.epochs == 7
    assert config.seed == 0


def test_later_setting_wins() -> None:
    assert settings_of("seed=1", "seed=2").seed == 2


def test_missing_dataset_is_refused_with_both_ways_to_give_it() -> None:
    with pytest.raises(ConfigError, match="no dataset; give --dataset, or dataset ="):
        read_config(None)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("training.epocs=5", "unknown setting 'training.epocs'; did you mean 'training.epochs'"),
        ("epochs=5", "unknown setting 'epochs'; did you mean .*'training.epochs'"),
        ("traning.epochs=5", "unknown setting 'traning'"),
        ("a..b=1", "unknown setting 'a'"),
        ("training.epochs.x=1", "training.epochs"),
        ("training.epochs=2.5", "training.epochs = 2.5 should be a whole number"),
        ("training.epochs=many", "training.epochs = 'many' should be a whole number"),
        ("training.epochs=true", "training.epochs = True should be a whole number"),
        ("training.learning_rate=fast", "training.learning_rate = 'fast' should be a number"),
        (
            "training.strategy=most",
            "training.strategy = 'most'; valid: auto, features, stages, last, all",
        ),
        (
            "training.strategy=[1]",
            r"training.strategy = \[1\]; valid: auto, features, stages, last, all",
        ),
        ("augment.recipe=3", "augment.recipe = 3; valid: auto, none, light, default"),
        ("training=5", "training is a group of settings; got 5"),
        ("seed", "--set 'seed': write key=value"),
        ("=5", "--set '=5': write key=value"),
        ("model.image_size=big", "model.image_size = 'big' should be a whole number"),
        ("training.batch_size=car", "batch_size = 'car' should be a whole number or auto"),
        ("training.batch_size=8.5", "batch_size = 8.5 should be a whole number or auto"),
        ("training.replicas=all", "training.replicas = 'all' should be a whole number or auto"),
        ("training.xla=yes", "training.xla = 'yes'; valid: auto, on, off"),
        ("training.xla=true", "training.xla = True; valid: auto, on, off"),
        ("training.deterministic=1", "training.deterministic = 1 should be true or false"),
    ],
)
def test_unknown_key_and_wrong_type_are_refused_with_key_and_value(
    setting: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        settings_of(setting)


def test_value_where_a_group_is_needed_is_refused(file: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "flat.toml", 'dataset = "a"\ntraining = 5\n')

    with pytest.raises(ConfigError, match="training.epochs: 'training' is a value, not a group"):
        read_config(path, ["training.epochs=2"])


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("data.val_fraction=1", r"data.val_fraction = 1.0; valid: 0 to 1"),
        ("data.test_fraction=-0.1", "data.test_fraction = -0.1"),
        ("data.val_fraction=nan", "data.val_fraction = nan"),
        ("data.val_fraction=0.9", r"data.val_fraction \+ data.test_fraction = 1.05"),
        ("data.max_unreadable_fraction=1.5", "data.max_unreadable_fraction = 1.5; valid: 0 to 1"),
        ("data.max_megapixels=0", "data.max_megapixels = 0.0; valid: above 0"),
        ("data.max_megapixels=inf", "data.max_megapixels = inf"),
        ("data.max_megapixels=nan", "data.max_megapixels = nan"),
        (f"data.max_megapixels={10**400}", "data.max_megapixels = 1000"),
        ("model.image_size=8", "model.image_size = 8; valid: 16 to 2048 pixels"),
        ("model.dropout=1.0", "model.dropout = 1.0; valid: 0 to below 1"),
        ("augment.feature_views=-1", "augment.feature_views = -1; valid: 0 or more"),
        ("training.epochs=0", "training.epochs = 0; valid: 1 or more"),
        ("training.batch_size=0", "training.batch_size = 0; valid: 1 or more, or auto"),
        ("training.replicas=0", "training.replicas = 0; valid: 1 or more, or auto"),
        ("training.learning_rate=0", "training.learning_rate = 0.0; valid: above 0, at most 10"),
        ("training.warmup_fraction=1", "training.warmup_fraction = 1.0"),
        ("training.weight_decay=-1", "training.weight_decay = -1.0; valid: 0 or more"),
        ("training.weight_decay=inf", "training.weight_decay = inf"),
        ("seed=-1", "seed = -1; valid: 0 to 2147483647"),
        ("seed=2147483648", "seed = 2147483648"),
        ("dataset= ", "dataset = ''; valid: a folder"),
    ],
)
def test_impossible_value_is_refused_with_key_and_value(setting: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read_config(None, ["dataset=digits", setting])


def test_number_too_long_for_python_is_taken_as_a_word() -> None:
    with pytest.raises(ConfigError, match="seed = '1111.*should be a whole number"):
        settings_of("seed=" + "1" * 5000)


@pytest.mark.parametrize("text", ["dataset = ", "[training\n", "dataset = 'a'\ndataset = 'b'"])
def test_malformed_toml_is_refused_with_the_place(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"run\.toml is no valid TOML: .*\(at "):
        read_config(write(tmp_path / "run.toml", text))


def test_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_bytes(b"dataset = '\xff'")

    with pytest.raises(ConfigError, match=r"run\.toml is no valid TOML"):
        read_config(tmp_path / "run.toml")


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--config .*none\.toml: No such file"):
        read_config(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="Is a directory"):
        read_config(tmp_path)


CONFIGS = st.builds(
    RunConfig,
    dataset=st.text(min_size=1).filter(str.strip),
    name=st.none() | st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True),
    seed=st.integers(0, 2**31 - 1),
    data=st.builds(
        DataConfig,
        val_fraction=st.floats(0, 0.4),
        test_fraction=st.floats(0, 0.4),
        split_file=st.none() | st.text(),
    ),
    training=st.builds(
        TrainingConfig,
        strategy=st.sampled_from(["features", "last", "all"]),
        learning_rate=st.floats(1e-9, 10),
        weight_decay=st.floats(0, 1e9),
    ),
)


@given(CONFIGS)
def test_config_round_trips_through_json(config: RunConfig) -> None:
    assert config_from_json(json.dumps(config.to_dict())) == config


def test_flat_names_every_setting_by_its_dotted_key() -> None:
    flat = RunConfig(dataset="digits").flat()

    assert flat["training.epochs"] == 15
    assert flat["name"] is None
    assert all(not isinstance(value, dict) for value in flat.values())
    count = sum(len(dataclasses.fields(group)) for group in GROUPS.values())
    assert len(flat) == count + len(dataclasses.fields(RunConfig)) - len(GROUPS)


GROUPS: dict[str, Any] = {
    field.name: getattr(RunConfig(dataset="x"), field.name)
    for field in dataclasses.fields(RunConfig)
    if dataclasses.is_dataclass(getattr(RunConfig(dataset="x"), field.name))
}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no JSON"),
        ("[]", "names no dataset"),
        ("{}", "names no dataset"),
        ('{"dataset": 5}', "dataset = 5 should be text"),
        ('{"dataset": "a", "colour": 1}', "unknown setting 'colour'"),
        ('{"dataset": "a", "training": [1]}', "training is a group of settings"),
        ('{"dataset": "a", "training": {"epochs": null}}', "training.epochs = None should be"),
        ('{"dataset": "a", "data": {"max_megapixels": Infinity}}', "max_megapixels = inf"),
    ],
)
def test_damaged_stored_config_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        config_from_json(text)


@pytest.mark.parametrize("group", GROUPS)
def test_every_setting_is_described(group: str) -> None:
    kind = type(GROUPS[group])
    described = re.findall(r"^ +(\w+):", kind.__doc__ or "", re.MULTILINE)

    assert set(described) >= {field.name for field in dataclasses.fields(kind)}


@pytest.mark.parametrize(
    "name", ["a/b", "a b", ".hidden", "-flag", "", "ü", "a\n", "..", "x" * 101, "a\\b", "a:b"]
)
def test_name_that_is_no_folder_and_url_part_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="--name .* a model's name is a folder"):
        check_model_name(name)
    with pytest.raises(ConfigError):
        RunConfig(dataset="digits", name=name)


@pytest.mark.parametrize("name", ["a", "7", "My-Flowers_2.1", "x" * 100])
def test_good_name_is_taken(name: str) -> None:
    assert check_model_name(name) == name


@given(st.text())
def test_model_name_of_a_dataset_is_always_valid(dataset_name: str) -> None:
    assert check_model_name(model_name_of(dataset_name))


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", fullmatch=True))
def test_model_name_of_a_valid_name_is_itself(name: str) -> None:
    assert model_name_of(name) == name


def test_config_needs_no_heavy_library() -> None:
    code = (
        "import sys, tl.config, tl.run_folder, tl.errors;"
        "print(sorted({'tensorflow', 'keras', 'numpy', 'cv2'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
