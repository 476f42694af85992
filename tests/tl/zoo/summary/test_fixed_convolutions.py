"""Convolutions with kernels that are given, not learnt, on numbers and on a photograph."""

from typing import Any

import keras
import numpy as np
import scipy.ndimage
from numpy.typing import NDArray
from sklearn.datasets import load_sample_image

SOBEL_X = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], "float32")
SHARPEN = np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], "float32")


def convolved(picture: NDArray[Any], kernel: NDArray[Any]) -> NDArray[np.float32]:
    """Run one channel through a convolution layer of Keras whose weights are the kernel."""
    layer = keras.layers.Conv2D(1, kernel.shape, use_bias=False)
    layer.build((None, *picture.shape, 1))
    layer.set_weights([kernel[:, :, None, None]])
    found = np.asarray(layer(picture[None, :, :, None].astype("float32")))
    only: NDArray[np.float32] = found[0, :, :, 0]
    return only


def grey_photograph() -> NDArray[np.float32]:
    """The temple that comes with scikit-learn, (427, 640), 0 to 255."""
    photograph: NDArray[np.float32] = load_sample_image("china.jpg").mean(axis=-1, dtype="float32")
    return photograph


def test_the_5x5_image_of_the_lectures() -> None:
    # Dumoulin and Visin 2016, "A guide to convolution arithmetic for deep learning", figure 1.1.
    picture = np.array(
        [[3, 3, 2, 1, 0], [0, 0, 1, 3, 1], [3, 1, 2, 2, 3], [2, 0, 0, 2, 2], [2, 0, 0, 0, 1]]
    )
    kernel = np.array([[0, 1, 2], [2, 2, 0], [0, 1, 2]])

    assert convolved(picture, kernel).tolist() == [[12, 12, 17], [10, 17, 19], [9, 6, 14]]


def test_sobel_finds_the_edges_of_a_photograph() -> None:
    photograph = grey_photograph()

    across = convolved(photograph, SOBEL_X)
    down = convolved(photograph, SOBEL_X.T)

    # Sobel and Feldman 1968; scipy computes both as a reference, borders apart.
    np.testing.assert_allclose(
        across, scipy.ndimage.sobel(photograph, axis=1)[1:-1, 1:-1], atol=1e-2
    )
    np.testing.assert_allclose(down, scipy.ndimage.sobel(photograph, axis=0)[1:-1, 1:-1], atol=1e-2)
    # The roof against the sky has edges; the sky above it has none.
    strength = np.hypot(across, down)
    assert strength[:40, :200].mean() < 0.1 * strength[150:300].mean()


def test_sobel_answers_to_edges_of_its_own_direction_alone() -> None:
    edge = np.zeros((6, 6), "float32")
    edge[:, 3:] = 10

    assert np.unique(convolved(edge, SOBEL_X)).tolist() == [0, 40]
    assert not convolved(edge, SOBEL_X.T).any()


def test_sharpening_adds_what_a_photograph_has_more_than_its_neighbours() -> None:
    photograph = grey_photograph()

    sharp = convolved(photograph, SHARPEN)

    # Gonzalez and Woods, "Digital image processing", section 3.6: the picture minus its Laplacian.
    expected = photograph - scipy.ndimage.laplace(photograph)
    np.testing.assert_allclose(sharp, expected[1:-1, 1:-1], atol=1e-2)
    assert abs(sharp.mean() - photograph[1:-1, 1:-1].mean()) < 0.5
    assert np.abs(np.diff(sharp)).mean() > 1.5 * np.abs(np.diff(photograph)).mean()
