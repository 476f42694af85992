import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tl.augment.pca_jitter import ColourPca, fit_colour_pca
from tl.errors import DatasetError


def pictures(seed: int, sizes: list[tuple[int, int]]) -> list[NDArray[np.uint8]]:
    """Pictures of different sizes whose channels hang together differently."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(3, 3)) * 40
    return [
        np.clip(rng.normal(size=(*size, 3)) @ mix + 120, 0, 255).astype(np.uint8) for size in sizes
    ]


@given(
    st.integers(0, 1000),
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=2, max_size=6),
)
@settings(deadline=None, max_examples=50)
def test_components_are_those_of_the_covariance_of_all_pixels(
    seed: int, sizes: list[tuple[int, int]]
) -> None:
    images = pictures(seed, sizes)
    pixels = np.concatenate([image.reshape(-1, 3) for image in images]).astype(np.float64) / 255
    covariance = np.cov(pixels, rowvar=False, bias=True)

    pca = fit_colour_pca(images)

    vectors = np.asarray(pca.eigenvectors)
    np.testing.assert_allclose(
        pca.eigenvalues, np.linalg.eigvalsh(covariance)[::-1].clip(0), atol=1e-6
    )
    np.testing.assert_allclose(
        vectors @ np.diag(pca.eigenvalues) @ vectors.T, covariance, atol=1e-6
    )
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-9)
    assert list(pca.eigenvalues) == sorted(pca.eigenvalues, reverse=True)


def test_large_pictures_keep_their_precision() -> None:
    # Bright and nearly grey: the covariance is a small difference of large sums.
    rng = np.random.default_rng(1)
    images = [(240 + rng.integers(0, 3, (600, 800, 3))).astype(np.uint8) for _ in range(4)]
    pixels = np.concatenate([image.reshape(-1, 3) for image in images]).astype(np.float64) / 255
    expected = np.linalg.eigvalsh(np.cov(pixels, rowvar=False, bias=True))[::-1]

    assert fit_colour_pca(images).eigenvalues == pytest.approx(expected, rel=1e-6)


def test_offset_is_the_formula_of_the_paper_worked_by_hand() -> None:
    # (p1, p2, p3) (a1 l1, a2 l2, a3 l3)^T with l = (0.5, 0.2, 0.1) and a = (0.1, -0.2, 0.3):
    # 0.05 p1 - 0.04 p2 + 0.03 p3, p1 = (0.6, 0.8, 0), p2 = (-0.8, 0.6, 0), p3 = (0, 0, 1).
    pca = ColourPca((0.5, 0.2, 0.1), ((0.6, -0.8, 0.0), (0.8, 0.6, 0.0), (0.0, 0.0, 1.0)))

    offset = pca.offset(np.array([0.1, -0.2, 0.3]))

    np.testing.assert_allclose(offset, [0.062, 0.016, 0.03], atol=1e-12)


def test_pictures_of_one_colour_give_no_offset() -> None:
    pca = fit_colour_pca([np.full((4, 5, 3), 77, np.uint8)])

    np.testing.assert_allclose(pca.offset(np.ones(3)), 0, atol=1e-6)


def test_no_picture_is_refused() -> None:
    with pytest.raises(DatasetError, match="no training picture"):
        fit_colour_pca([])
