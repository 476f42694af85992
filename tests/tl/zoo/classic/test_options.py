"""A classic is built in other ways by what follows its name, and what makes no sense is refused."""

import subprocess
import sys

import numpy as np
import pytest

from tl.errors import ConfigError
from tl.zoo.backbones import BACKBONES, find_backbone
from tl.zoo.build import build_backbone


def test_options_follow_the_name_and_are_kept_in_it() -> None:
    row = find_backbone("alexnet:groups=2, activation=elu")

    assert row.name == "alexnet:activation=elu,groups=2"
    assert find_backbone(row.name) == row
    assert row.arguments == {"groups": 2}
    assert row.style is not None
    assert (row.style.activation, row.style.normalisation) == ("elu", "local_response")


def test_options_that_change_nothing_leave_the_row() -> None:
    assert find_backbone("allconv:pooling=false,dropout=0.5") == BACKBONES["allconv"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("alexnet:activation=relo", "no activation 'relo'; did you mean 'relu'"),
        ("alexnet:activations=relu", "no option 'activations'; did you mean 'activation'"),
        ("alexnet:", "no option ''; valid: activation, groups, normalisation"),
        ("alexnet:groups=2,groups=1", "alexnet is given 'groups' twice"),
        ("alexnet:foo=1", "no option 'foo'; valid: activation, groups, normalisation"),
        ("alexnet:groups=2.0", "groups=2.0: give a whole number"),
        ("alexnet:groups=3", "1 group or the 2 of its paper, not 3"),
        ("alexnet:groups=two", "groups=two: give a whole number"),
        ("alexnet:dropout=0.5", "set model.dropout"),
        ("allconv:dropout=1", "from 0 to below 1"),
        ("allconv:dropout=nan", "from 0 to below 1"),
        ("allconv:pooling=perhaps", "give true or false"),
        ("resnet18:activation=maxout", "plain34, which has no shortcuts"),
        ("resnet18:normalisation=local_response", "no place for local response"),
        ("vgg16:activation=elu", "vgg16 takes no options"),
        ("alexnt:activation=elu", "no backbone is called 'alexnt'; did you mean 'alexnet'"),
    ],
)
def test_what_makes_no_sense_is_refused(name: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        find_backbone(name)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "leaky_relu", "elu", "maxout"])
@pytest.mark.parametrize("normalisation", ["none", "batch"])
def test_every_activation_and_normalisation_can_be_built(
    activation: str, normalisation: str
) -> None:
    row = find_backbone(f"lenet5:activation={activation},normalisation={normalisation}")
    model = build_backbone(row)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)

    features = np.asarray(model(pixels))

    assert features.shape == (2, 120)
    assert np.isfinite(features).all()
    assert features.std() > 1e-3


def test_options_are_checked_without_tensorflow_and_keras() -> None:
    program = (
        "import sys; from tl.zoo.backbones import find_backbone; "
        "find_backbone('alexnet:activation=elu'); "
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
