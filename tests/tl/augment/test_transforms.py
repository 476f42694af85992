"""Every row of the table: shape, type, determinism, nothing at no strength, and what it does."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tl.augment.pca_jitter import ColourPca
from tl.augment.recipes import Augmentation
from tl.augment.transforms import BUILDERS, COLOURS, PLACES
from tl.transforms import TRANSFORMS, VIEWS, transform

Image = NDArray[np.uint8]
PCA = ColourPca((0.1, 0.01, 0.001), ((0.6, -0.8, 0.0), (0.8, 0.6, 0.0), (0.0, 0.0, 1.0)))
OTHERS = [name for name in TRANSFORMS if name not in VIEWS]


def picture(height: int = 48, width: int = 64) -> Image:
    """Smooth and asymmetric, so that the right movement can be told from a wrong one."""
    noise = np.random.default_rng(5).integers(0, 256, (height, width, 3), np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 2), np.uint8)


def apply(name: str, seed: int = 0, image: Image | None = None, **parameters: Any) -> Image:
    image = picture() if image is None else image
    size = (image.shape[0], image.shape[1])
    if name not in VIEWS:
        parameters = {"p": 1, **parameters}
    augment = Augmentation("custom", size, PCA, (transform(name, **parameters),))
    return augment(image, seed)


def test_every_row_has_a_function_and_every_function_a_row() -> None:
    assert sorted([*BUILDERS, *COLOURS, *PLACES]) == sorted(TRANSFORMS)


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 90), (90, 1), (20, 200), (64, 64)], ids=str)
def test_views_are_bytes_of_the_asked_size(name: str, shape: tuple[int, int]) -> None:
    changed = {} if name in VIEWS else {"p": 1}
    augment = Augmentation("custom", (48, 32), PCA, (transform(name, **changed),))
    before_the_crop = (transform(name, **changed), transform("random_resized_crop"))
    early = Augmentation("custom", (48, 32), PCA, before_the_crop) if name not in VIEWS else augment

    for seed in range(6):
        for view in (augment(picture(*shape), seed), early(picture(*shape), seed)):
            assert view.shape == (48, 32, 3)
            assert view.dtype == np.uint8


@pytest.mark.parametrize("name", TRANSFORMS)
def test_same_seed_gives_the_same_view(name: str) -> None:
    for seed in range(5):
        np.testing.assert_array_equal(apply(name, seed), apply(name, seed))


def test_all_at_once_in_threads_and_after_pickling_give_the_same_views() -> None:
    everything = tuple(transform(name) for name in OTHERS)
    augment = Augmentation("custom", (40, 40), PCA, everything)
    seeds = list(range(60))
    expected = [augment(picture(), seed).tobytes() for seed in seeds]
    copy = pickle.loads(pickle.dumps(augment))

    with ThreadPoolExecutor(8) as pool:
        views = list(pool.map(lambda seed: copy(picture(), seed).tobytes(), seeds))

    assert views == expected


@pytest.mark.parametrize("name", OTHERS)
def test_something_happens_and_the_given_picture_stays_as_it_is(name: str) -> None:
    image = picture()

    views = [apply(name, seed, image) for seed in range(8)]

    np.testing.assert_array_equal(image, picture())
    assert any(not np.array_equal(view, image) for view in views)


@pytest.mark.parametrize("name", OTHERS)
def test_probability_0_changes_nothing(name: str) -> None:
    for seed in range(4):
        np.testing.assert_array_equal(apply(name, seed, p=0), picture())


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("translate", {"fraction": 0}), ("rotate", {"degrees": 0}), ("shear", {"degrees": 0}),
        ("scale", {"min_factor": 1, "max_factor": 1}), ("stretch", {"factor": 1}),
        ("perspective", {"shift": 0}), ("brightness", {"change": 0}), ("contrast", {"change": 0}),
        ("saturation", {"change": 0}), ("hue", {"turns": 0}), ("pca_jitter", {"std": 0}),
        ("lens_distortion", {"strength": 0}), ("salt_and_pepper", {"amount": 0}),
        ("gaussian_noise", {"std": 0}), ("blur", {"sigma": 0}), ("rand_augment", {"operations": 0}),
    ],
)  # fmt: skip
def test_strength_0_changes_nothing(name: str, parameters: dict[str, Any]) -> None:
    for seed in range(4):
        np.testing.assert_array_equal(apply(name, seed, **parameters), picture())


def test_flips_mirror_exactly() -> None:
    np.testing.assert_array_equal(apply("horizontal_flip"), picture()[:, ::-1])
    np.testing.assert_array_equal(apply("vertical_flip"), picture()[::-1])


NEVER_MIRROR = [name for name in OTHERS if name not in ("horizontal_flip", "vertical_flip")]


@pytest.mark.parametrize("name", NEVER_MIRROR)
def test_nothing_else_mirrors(name: str) -> None:
    # A bright blot at the upper left of a dark picture: it stays nearer to where it was than to
    # any of its mirror images. Solarising inverts, so the blot is where the contrast is.
    image = np.full((60, 60, 3), 60, np.uint8)
    cv2.circle(image, (17, 17), 7, (190, 200, 180), -1)
    some: dict[str, dict[str, Any]] = {"rotate": {"degrees": 20}, "erase": {"max_area": 0.02}}
    gentle = some.get(name, {})
    for seed in range(30):
        view = apply(name, seed, image, **gentle).astype(float).mean(axis=2)
        contrast = cv2.GaussianBlur(np.abs(view - np.median(view)), (0, 0), 3)
        y, x = np.unravel_index(int(contrast.argmax()), contrast.shape)
        assert x + y < 60 or contrast.max() < 20, (name, seed, x, y)


def blot(view: Image) -> tuple[float, float]:
    """Centre of mass (x, y) of a bright blot on black."""
    grey = view.astype(float).sum(axis=2)
    ys, xs = np.mgrid[: grey.shape[0], : grey.shape[1]]
    return float((xs * grey).sum() / grey.sum()), float((ys * grey).sum() / grey.sum())


def dot(x: int, y: int, side: int = 101) -> Image:
    image = np.zeros((side, side, 3), np.uint8)
    cv2.circle(image, (x, y), 4, (255, 255, 255), -1)
    return image


def test_rotation_turns_about_the_centre_by_fine_angles() -> None:
    angles = []
    for seed in range(200):
        x, y = blot(apply("rotate", seed, dot(80, 50), degrees=0.8, border="black"))
        assert np.hypot(x - 50, y - 50) == pytest.approx(30, abs=0.1)
        angles.append(np.rad2deg(np.arctan2(y - 50, x - 50)))

    assert -0.85 < min(angles) < -0.7
    assert 0.7 < max(angles) < 0.85
    assert len({round(angle, 2) for angle in angles}) > 50


def test_rotation_of_an_oblong_picture_keeps_distances() -> None:
    image = np.zeros((101, 201, 3), np.uint8)
    cv2.circle(image, (130, 50), 4, (255, 255, 255), -1)
    for seed in range(10):
        x, y = blot(apply("rotate", seed, image, degrees=90, border="black"))
        assert np.hypot(x - 100, y - 50) == pytest.approx(30, abs=0.3)


def test_translation_moves_by_up_to_the_stated_share() -> None:
    places = [
        blot(apply("translate", seed, dot(50, 50), fraction=0.2, border="black"))
        for seed in range(200)
    ]
    moved = np.array(places) - 50

    assert np.abs(moved).max() <= 0.2 * 101 + 0.1
    assert (np.abs(moved).max(axis=0) > 18).all()
    assert abs(np.corrcoef(moved.T)[0, 1]) < 0.3


def test_scale_changes_both_directions_alike_and_stretch_one_against_the_other() -> None:
    def spread(name: str, seed: int, **parameters: Any) -> tuple[float, float]:
        image = np.maximum(dot(70, 50), dot(50, 70))
        view = apply(name, seed, image, border="black", **parameters)
        right = view.copy()
        right[56:] = 0
        low = view.copy()
        low[:56] = 0
        return (blot(right)[0] - 50) / 20, (blot(low)[1] - 50) / 20

    for seed in range(20):
        wide, high = spread("scale", seed, min_factor=0.7, max_factor=1.3)
        assert wide == pytest.approx(high, abs=0.05)
        assert 0.65 < wide < 1.35
        wide, high = spread("stretch", seed, factor=1.5)
        assert wide * high == pytest.approx(1, abs=0.06)
        assert 1 / 1.6 < wide / high < 1.6


def test_shear_slants_along_the_rows() -> None:
    for seed in range(10):
        x, y = blot(apply("shear", seed, dot(50, 80), degrees=20, border="black"))
        assert y == pytest.approx(80, abs=0.5)
        assert abs(x - 50) <= 30 * np.tan(np.deg2rad(20)) + 0.5


def test_perspective_makes_parallels_meet() -> None:
    image = np.zeros((101, 101, 3), np.uint8)
    image[:, 25:28] = image[:, 73:76] = 255
    gaps = []
    for seed in range(20):
        view = apply("perspective", seed, image, shift=0.2, border="black")[:, :, 0]
        rows = [np.flatnonzero(view[y] > 100) for y in (30, 70)]
        gaps.append(abs(float(np.ptp(rows[0])) - float(np.ptp(rows[1]))))

    assert max(gaps) > 3


def test_lens_bends_a_straight_line() -> None:
    image = np.zeros((101, 101, 3), np.uint8)
    image[20:23] = 255
    bends = []
    for seed in range(30):
        view = apply("lens_distortion", seed, image, strength=0.5, border="black")[:60].astype(
            float
        )
        ys = np.arange(60)[:, None]
        middle = (ys[:, 0] * view[:, 50, 0]).sum() / max(1, view[:, 50, 0].sum())
        side = (ys[:, 0] * view[:, 20, 0]).sum() / max(1, view[:, 20, 0].sum())
        bends.append(side - middle)

    assert min(bends) < -1
    assert max(bends) > 1


@pytest.mark.parametrize(
    ("border", "value"), [("edge", 200), ("black", 0), ("grey", 128), ("reflect", 200)]
)
def test_border_fills_the_places_beside_the_picture(border: str, value: int) -> None:
    image = np.full((40, 40, 3), 200, np.uint8)

    views = [apply("translate", seed, image, fraction=0.5, border=border) for seed in range(5)]

    assert min(int(view.min()) for view in views) == value


def test_salt_and_pepper_makes_some_pixels_white_or_black() -> None:
    image = np.full((100, 100, 3), 120, np.uint8)
    shares = []
    for seed in range(40):
        view = apply("salt_and_pepper", seed, image, amount=0.1)
        changed = (view != 120).any(axis=2)
        assert set(np.unique(view[changed])) <= {0, 255}
        shares.append(changed.mean())

    assert 0.08 < max(shares) <= 0.1
    assert min(shares) < 0.02


def test_gaussian_noise_has_at_most_the_stated_deviation() -> None:
    image = np.full((64, 64, 3), 120, np.uint8)
    deviations = [apply("gaussian_noise", s, image, std=20).astype(float).std() for s in range(40)]

    assert 17 < max(deviations) < 20.5
    assert min(deviations) < 3
    means = [apply("gaussian_noise", s, image, std=20).mean() for s in range(20)]
    assert np.mean(means) == pytest.approx(120, abs=0.5)


def test_blur_takes_away_edges_and_keeps_the_mean() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    views = [apply("blur", seed, image, sigma=3) for seed in range(20)]

    assert min(view.astype(float).std() for view in views) < 15
    assert all(view.mean() == pytest.approx(image.mean(), abs=2) for view in views)


def test_jpeg_of_low_quality_is_farther_from_the_picture() -> None:
    def distance(quality: int) -> float:
        view = apply("jpeg", 0, min_quality=quality, max_quality=quality).astype(float)
        return float(np.abs(view - picture()).mean())

    assert distance(100) < 2
    assert distance(5) > 3 * distance(90)


@pytest.mark.parametrize("fill", ["grey", "noise"])
def test_erasing_paints_over_one_rectangle_of_the_stated_area(fill: str) -> None:
    image = np.full((100, 100, 3), 10, np.uint8)
    shares = []
    for seed in range(40):
        changed = (apply("erase", seed, image, min_area=0.1, max_area=0.3, fill=fill) != 10).any(2)
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        box = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
        assert changed.sum() > 0.97 * box
        shares.append(box / 10_000)

    assert 0.08 < min(shares) < 0.15
    assert 0.25 < max(shares) < 0.32


def test_resnet_crop_scales_with_the_view() -> None:
    # The short side is drawn for 224; at 112 everything is half, so the same part is seen.
    image = np.zeros((500, 600, 3), np.uint8)
    image[:, :, 0] = (np.arange(600) / 600 * 255)[None, :]
    for size in (112, 224):
        crop = (transform("resnet_crop", min_short_side=448, max_short_side=448),)
        view = Augmentation("custom", (size, size), PCA, crop)(image, 3)
        assert float(np.ptp(view[:, :, 0])) / 255 * 600 == pytest.approx(250, abs=8)


def test_neighbours_are_applied_as_one() -> None:
    from tl.augment.transforms import build_transforms

    settings = [
        transform("random_resized_crop"), transform("rotate"), transform("scale"),
        transform("perspective"), transform("translate", border="edge"), transform("brightness"),
        transform("hue"), transform("grayscale"), transform("blur"), transform("contrast"),
    ]  # fmt: skip

    names = [type(one).__name__ for one in build_transforms(settings, (32, 32), PCA)]

    assert names == ["RandomResizedCrop", "Warp", "Warp", "ColourJitter", "Blur",
                     "ColourJitter"]  # fmt: skip
