import keras
import numpy as np
import pytest

from tl.zoo.backbones import Preprocessing
from tl.zoo.preprocessing import scale_pixels

PIXELS = np.random.default_rng(0).uniform(0, 255, (2, 9, 7, 3)).astype(np.float32)


def scaled(kind: Preprocessing) -> np.ndarray:
    images = keras.Input((9, 7, 3))
    model = keras.Model(images, scale_pixels(images, kind))
    return np.asarray(keras.ops.convert_to_numpy(model(PIXELS)))


@pytest.mark.parametrize(
    ("kind", "application"),
    [
        ("tf", keras.applications.mobilenet_v2),
        ("caffe", keras.applications.resnet50),
        ("torch", keras.applications.densenet),
        ("inside", keras.applications.efficientnet),
    ],
)
def test_scaling_equals_the_preprocessing_of_keras(
    kind: Preprocessing, application: object
) -> None:
    expected = application.preprocess_input(PIXELS.copy())  # type: ignore[attr-defined]

    np.testing.assert_allclose(scaled(kind), expected, rtol=0, atol=2e-5)


def test_tf_128_maps_128_to_zero() -> None:
    np.testing.assert_allclose(scaled("tf_128"), PIXELS / 128 - 1, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["tf", "tf_128", "caffe", "torch"])
def test_mixed_precision_leaves_the_scaling_in_float32(kind: Preprocessing) -> None:
    expected = scaled(kind)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half = scaled(kind)
    finally:
        keras.config.set_dtype_policy("float32")

    assert half.dtype == np.float32
    np.testing.assert_array_equal(half, expected)
