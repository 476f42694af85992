"""The table of transforms: defaults filled in, and one clear error for what cannot be."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tl.config_reading import config_from_json, read_config
from tl.errors import ConfigError
from tl.transforms import TRANSFORMS, VIEWS, check_transforms, mirrors, transform


@pytest.mark.parametrize("name", TRANSFORMS)
def test_defaults_are_within_their_own_ranges(name: str) -> None:
    complete = transform(name)

    assert complete["name"] == name
    assert ("p" in complete) == (name not in VIEWS)
    assert set(complete) - {"name", "p"} == set(TRANSFORMS[name].parameters)
    assert transform(**dict(complete)) == complete  # type: ignore[arg-type]


@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_row_is_described_and_has_a_source(name: str) -> None:
    row = TRANSFORMS[name]

    assert row.does
    assert any(digit.isdigit() for digit in row.source)
    assert all(parameter.unit for parameter in row.parameters.values())


def test_whole_numbers_are_taken_for_numbers() -> None:
    settings = transform("rotate", degrees=3)

    assert settings == {"name": "rotate", "p": 0.5, "degrees": 3.0, "border": "reflect"}
    assert type(settings["degrees"]) is float


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ('[{name="rotat"}]', r"transforms\[0\]: unknown transform 'rotat'; did you mean 'rotate'"),
        ("[{name=3}]", "unknown transform 3"),
        ("[{degrees=3}]", r"transforms\[0\] has no name"),
        ('[{name="rotate", degres=3}]', "has no parameter 'degres'; did you mean 'degrees'"),
        ('[{name="centre", p=0.5}]', "has no parameter 'p'; it has none"),
        ('[{name="hue"}, {name="rotate", degrees=200}]',
         r"transforms\[1\] \(rotate\).degrees = 200.0; valid: 0 to 180 \(largest angle"),
        ('[{name="rotate", degrees=nan}]', "degrees = nan; valid: 0 to 180"),
        ('[{name="rotate", degrees="far"}]', "degrees = 'far'; valid: 0 to 180"),
        ('[{name="rotate", degrees=true}]', "degrees = True; valid: 0 to 180"),
        ('[{name="rotate", border="white"}]', "border = 'white'; valid: reflect, edge, black"),
        ('[{name="rotate", p=1.5}]', r"p = 1.5; valid: 0 to 1 \(probability"),
        ('[{name="jpeg", min_quality=2.5}]', "min_quality = 2.5; valid: a whole number, 1 to 100"),
        ('[{name="jpeg", min_quality=99}]', "min_quality = 99 is above max_quality = 95"),
        ('[{name="centre"}, {name="resnet_crop"}]', "centre and resnet_crop; only one"),
        ("5", "augment.transforms = 5 should be a list of tables"),
        ('["rotate"]', "should be a list of tables"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_key_and_value(settings: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read_config(None, ["dataset=digits", f"augment.transforms={settings}"])


def test_transforms_of_a_file_replace_the_recipe_and_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(
        'dataset = "flowers"\n'
        '[[augment.transforms]]\nname = "rotate"\ndegrees = 3.0\np = 0.5\n'
        '[[augment.transforms]]\nname = "grayscale"\n'
    )

    config = read_config(path)

    assert config.augment.transforms == (
        {"name": "rotate", "p": 0.5, "degrees": 3.0, "border": "reflect"},
        {"name": "grayscale", "p": 0.2},
    )
    text = json.dumps(config.to_dict())
    assert config_from_json(text) == config
    assert json.loads(text) == config.to_dict()


def test_recipe_and_transforms_together_are_refused() -> None:
    with pytest.raises(ConfigError, match="augment.recipe = 'light' and augment.transforms"):
        read_config(None, ["dataset=digits", "augment.recipe=light",
                           'augment.transforms=[{name="hue"}]'])  # fmt: skip


def test_only_horizontal_flips_that_can_happen_mirror() -> None:
    assert mirrors((transform("hue"), transform("horizontal_flip")))
    assert not mirrors((transform("horizontal_flip", p=0), transform("vertical_flip")))


def test_no_transform_is_a_list_too() -> None:
    assert check_transforms((), "augment.transforms") == ()


def test_table_needs_no_heavy_library() -> None:
    code = (
        "import sys, tl.transforms;"
        "print(sorted({'albumentations', 'numpy', 'cv2', 'keras'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
