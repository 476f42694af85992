"""AlexNet's colour augmentation: the covariance of all training pixels, and offsets along it.

albumentations' FancyPCA is another thing: it takes the covariance of the single picture.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tl.errors import DatasetError

BLOCK_PIXELS = 2**16  # 1.5 MB in float64 stay in the processor's cache


@dataclass(frozen=True, slots=True)
class ColourPca:
    """Principal components of the RGB values of a set of pictures, in units of value / 255.

    Attributes:
        eigenvalues: variances, three of them in descending order.
        eigenvectors: three unit vectors as columns, row-major (r, g, b) x component.
    """

    eigenvalues: tuple[float, float, float]
    eigenvectors: tuple[tuple[float, float, float], ...]

    def offset(self, draws: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the RGB offset (3,), in units of value / 255, for one draw a component.

        Args:
            draws: (3,) of N(0, standard deviation); AlexNet has 0.1.

        Krizhevsky et al. 2012, section 4.1: sum of p_i * (alpha_i * lambda_i), where lambda_i is
        the i-th eigenvalue of the covariance matrix.
        """
        scaled = draws * np.asarray(self.eigenvalues)
        offset: NDArray[np.float64] = np.asarray(self.eigenvectors) @ scaled
        return offset


def fit_colour_pca(images: Iterable[NDArray[np.uint8]]) -> ColourPca:
    """Estimate the principal components of all pixels of the training pictures, in one pass.

    Args:
        images: (height, width, 3) each, values 0 to 255; sizes may differ.

    Raises:
        DatasetError: no picture.

    Source: Krizhevsky et al. 2012, section 4.1 (data-set PCA, not per image).
    """
    count = 0
    total = np.zeros(3)
    products = np.zeros((3, 3))
    for image in images:
        pixels = image.reshape(-1, 3)
        count += len(pixels)
        # Whole numbers in float64: the sums are exact, in whatever order the pictures come.
        for start in range(0, len(pixels), BLOCK_PIXELS):
            block = pixels[start : start + BLOCK_PIXELS].astype(np.float64)
            total += block.sum(axis=0)
            products += block.T @ block
    if count == 0:
        raise DatasetError("no training picture to take the colour covariance of")
    mean = total / count
    values, vectors = np.linalg.eigh((products / count - np.outer(mean, mean)) / 255**2)
    first, second, third = (float(max(value, 0.0)) for value in values[::-1])
    columns = vectors[:, ::-1]
    return ColourPca(
        (first, second, third),
        tuple((float(row[0]), float(row[1]), float(row[2])) for row in columns),
    )
