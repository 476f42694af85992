import re
import subprocess
import sys

import pytest

from tl.errors import ConfigError
from tl.zoo.backbones import BACKBONES, find_backbone


def test_every_name_finds_its_row() -> None:
    for name, backbone in BACKBONES.items():
        assert find_backbone(name) is backbone
        assert backbone.name == name


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'mobilnet_v2'; did you mean 'mobilenet_v2'"):
        find_backbone("mobilnet_v2")


def test_name_unlike_any_other_points_to_the_list() -> None:
    with pytest.raises(ConfigError, match="tl zoo"):
        find_backbone("qqq")


def test_names_are_lower_case_words() -> None:
    assert all(re.fullmatch(r"[a-z0-9]+(_[a-z0-9.]+)*", name) for name in BACKBONES)


def test_mobilenet_has_a_weights_file_for_each_trained_size() -> None:
    no_top, with_top = find_backbone("mobilenet_0.25").published_files((128, 128))

    assert no_top.name == "mobilenet_2_5_128_tf_no_top.h5"
    assert with_top.name == "mobilenet_2_5_128_tf.h5"
    assert no_top.url.endswith("/mobilenet/mobilenet_2_5_128_tf_no_top.h5")


@pytest.mark.parametrize("image_size", [(130, 130), (128, 160), (96, 96)])
def test_other_sizes_take_the_weights_trained_at_224(image_size: tuple[int, int]) -> None:
    no_top, _ = find_backbone("mobilenet_0.25").published_files(image_size)

    assert no_top.name == "mobilenet_2_5_224_tf_no_top.h5"


def test_names_are_known_without_tensorflow_and_keras() -> None:
    program = (
        "import sys; import tl.zoo.weights; "
        "assert not {'tensorflow', 'keras', 'h5py'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
