"""A ModelServerConfig as text: what it asks for, and how it is refused."""

from pathlib import Path

import pytest

from serving.config import ModelConfig, VersionPolicy
from serving.errors import StartError
from serving.models_file import read_models_file

FLOWERS = 'name: "flowers" base_path: "/m/flowers" model_platform: "tensorflow"'


def read(tmp_path: Path, *configs: str) -> tuple[ModelConfig, ...]:
    file = tmp_path / "models.config"
    inner = "".join(f"config {{ {one} }}" for one in configs)
    file.write_text(f"# served by the team\nmodel_config_list {{ {inner} }}")
    return read_models_file(file)


def test_every_model_has_its_path_policy_and_labels(tmp_path: Path) -> None:
    models = read(
        tmp_path,
        FLOWERS,
        'name: "two" base_path: "/m/two" model_type: TENSORFLOW '
        "model_version_policy { latest { num_versions: 2 } }",
        'name: "all" base_path: "/m/all" model_platform: "tensorflow" '
        "model_version_policy { all {} }",
        'name: "some" base_path: "/m/some" model_platform: "tensorflow" '
        "model_version_policy { specific { versions: 7 versions: 9 } } "
        'version_labels { key: "stable" value: 7 } version_labels { key: "canary" value: 9 }',
    )

    assert models == (
        ModelConfig(name="flowers", base_path=Path("/m/flowers")),
        ModelConfig(name="two", base_path=Path("/m/two"), policy=VersionPolicy(n_latest=2)),
        ModelConfig(name="all", base_path=Path("/m/all"), policy=VersionPolicy(n_latest=None)),
        ModelConfig(
            name="some",
            base_path=Path("/m/some"),
            policy=VersionPolicy(versions=frozenset({7, 9})),
            labels={"stable": 7, "canary": 9},
        ),
    )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ('name: "a" base_path: "m" model_platform: "tensorflow"', "have an absolute path or URI"),
        ('name: "a/b" base_path: "/m" model_platform: "tensorflow"', "'a/b' cannot be used in"),
        ('name: "a" base_path: "/m"', "neither ModelServerConfig::model_type"),
        (f"{FLOWERS} model_type: TENSORFLOW", "Illegal setting both ModelServerConfig"),
        ('name: "a" base_path: "/m" model_platform: "tf"', "platform tf is not supported"),
        (f"{FLOWERS} model_version_policy {{ specific {{}} }}", "specific has no versions"),
        (f'{FLOWERS} version_labels {{ key: "a:b" value: 1 }}', "version label 'a:b'"),
        (f"{FLOWERS} }} config {{ {FLOWERS}", "list model flowers multiple times"),
        (f"{FLOWERS} base_pth: 1", r"Invalid protobuf file: '.*models.config': 2:.*base_pth"),
    ],
)
def test_what_cannot_be_is_refused_in_words(config: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(StartError, match=message):
        read(tmp_path, config)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "picture").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "custom").write_text("custom_model_config {}")

    with pytest.raises(StartError, match="cannot read .*nowhere: No such file"):
        read_models_file(tmp_path / "nowhere")
    (tmp_path / "empty").touch()
    with pytest.raises(StartError, match=r"empty has no model_config_list"):
        read_models_file(tmp_path / "empty")
    (tmp_path / "none").write_text("model_config_list {}")
    assert read_models_file(tmp_path / "none") == ()
    with pytest.raises(StartError, match="Invalid protobuf file"):
        read_models_file(tmp_path / "picture")
    with pytest.raises(StartError, match="custom_model_config is not supported"):
        read_models_file(tmp_path / "custom")
