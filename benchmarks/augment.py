"""What augmentation costs: PCA jitter against FancyPCA, recipes against decode, crop and flip.

    python benchmarks/augment.py [FLOWER_PHOTOS]

One thread, pictures of 500 x 375 in JPEG (those of the folder that are, else made-up ones), views
of 224 x 224. All candidates take turns on every
picture, so that whatever else the machine does falls on all alike; times are of each
candidate's best round, which other jobs disturbed least. The numbers are in docs/augment.md.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray

from tl.augment.pca_jitter import fit_colour_pca
from tl.augment.recipes import RECIPES, Augmentation
from tl.augment.transforms import build_transforms
from tl.augment.views import resize
from tl.data.decode import decode_picture, picture_size
from tl.data.resize import centre_view
from tl.transforms import TRANSFORMS, transform

SIZE = (224, 224)
ROUNDS = 60
PICTURES = 16
Image = NDArray[np.uint8]


def photographs(folder: str) -> list[bytes]:
    """Return the first JPEGs of 500 x 375 in a folder."""
    files: list[bytes] = []
    for path in sorted(Path(folder).rglob("*.jpg")):
        data = path.read_bytes()
        if len(files) < PICTURES and picture_size(data) == (375, 500):
            files.append(data)
    return files


def made_up(rng: np.random.Generator, height: int, width: int) -> Image:
    """Return a picture with the spectrum of photographs (amplitude 1 / frequency)."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = 1
    noise = rng.normal(size=(3, height, width))
    planes = np.fft.irfft2(np.fft.rfft2(noise) / frequency, s=(height, width))
    planes = planes / planes.std(axis=(1, 2), keepdims=True) * 45 + 120
    grey = planes.mean(axis=0, keepdims=True)
    return (0.7 * grey + 0.3 * planes).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)


def made_up_files() -> list[bytes]:
    """Return JPEGs of 500 x 375."""
    rng = np.random.default_rng(0)
    quality = [cv2.IMWRITE_JPEG_QUALITY, 90]
    pictures = [made_up(rng, 375, 500) for _ in range(PICTURES)]
    return [cv2.imencode(".jpg", picture, quality)[1].tobytes() for picture in pictures]


def compare_shrinking() -> None:
    """Print how far three ways of shrinking are from evaluation's filter, and their time."""
    picture = made_up(np.random.default_rng(1), 700, 700)
    print("\nShrinking to 224 x 224: mean difference to evaluation in levels, and ms")
    for factor in (1.05, 1.2, 1.5, 1.9, 2.4, 3.0):
        side = round(224 * factor)
        crop = np.ascontiguousarray(picture[:side, :side])
        expected = centre_view(crop, SIZE).astype(int)
        ways: dict[str, Callable[[Any, int], Any]] = {
            "bilinear": lambda image, _: cv2.resize(image, SIZE),
            "area": lambda image, _: cv2.resize(image, SIZE, interpolation=cv2.INTER_AREA),
            "ours": lambda image, _: resize(image, SIZE),
        }
        spent = take_turns(ways, [crop], ROUNDS)
        print(f"  factor {factor:4.2f}", end="")
        for name, way in ways.items():
            difference = np.abs(way(crop, 0).astype(int) - expected).mean()
            print(f"   {name} {difference:5.2f}, {spent[name]:.3f} ms", end="")
        print()


def take_turns(
    candidates: dict[str, Callable[[Any, int], Any]], inputs: list[Any], rounds: int
) -> dict[str, float]:
    """Return the milliseconds of one call of each candidate, in its best round."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(rounds):
        spent = dict.fromkeys(candidates, 0.0)
        for number, value in enumerate(inputs):
            for name, candidate in candidates.items():
                began = time.perf_counter()
                candidate(value, turn * len(inputs) + number)
                spent[name] += time.perf_counter() - began
        for name, seconds in spent.items():
            times[name].append(1000 * seconds / len(inputs))
    return {name: min(values) for name, values in times.items()}


def main() -> None:
    """Print the tables."""
    cv2.setNumThreads(1)
    files = photographs(sys.argv[1]) if len(sys.argv) > 1 else made_up_files()
    pictures = [decode_picture(file) for file in files]
    views = [cv2.resize(picture, (224, 224), interpolation=cv2.INTER_AREA) for picture in pictures]
    pca = fit_colour_pca(pictures)

    jitter = build_transforms([transform("centre"), transform("pca_jitter")], SIZE, pca)[1]
    fancy = A.FancyPCA(alpha=0.1, p=1.0)
    alone = take_turns(
        {
            "FancyPCA": lambda view, _: fancy(image=view),
            "pca_jitter": lambda view, _: jitter(image=view),
        },
        views,
        ROUNDS,
    )
    print("PCA jitter of a 224 x 224 view, one call")
    for name, milliseconds in alone.items():
        print(f"  {name:<12} {milliseconds:8.3f} ms  {1000 / milliseconds:8,.0f} views/s")
    print(f"  pca_jitter is {alone['FancyPCA'] / alone['pca_jitter']:.1f} times as fast\n")

    def whole(augment: Augmentation) -> Callable[[bytes, int], Image]:
        return lambda file, seed: augment(decode_picture(file), seed)

    plain = A.Compose([A.RandomResizedCrop(SIZE, scale=(0.25, 1.0)), A.HorizontalFlip(p=0.5)])
    albumentations = {
        "bilinear crop + flip": lambda file, _: plain(image=decode_picture(file))["image"]
    }
    recipes = {name: whole(Augmentation(name, SIZE, pca)) for name in RECIPES}
    decode: dict[str, Callable[[Any, int], Any]] = {"decode": lambda file, _: decode_picture(file)}
    cost = take_turns(decode | albumentations | recipes, files, ROUNDS)
    print("From JPEG of 500 x 375 to view; `light` is decode, crop and flip")
    for name, milliseconds in cost.items():
        light, other = milliseconds / cost["light"], milliseconds / cost["bilinear crop + flip"]
        print(f"  {name:<20} {milliseconds:8.3f} ms  {1000 / milliseconds:8,.0f} pictures/s"
              f"  {light:5.2f} x light  {other:5.2f} x bilinear")  # fmt: skip

    compare_shrinking()

    rows = [name for name, row in TRANSFORMS.items() if row.p is not None]
    single = {name: Augmentation("custom", SIZE, pca, (transform(name, p=1),)) for name in rows}
    nothing = Augmentation("none", SIZE, pca)
    parts = take_turns(single | {"nothing": nothing}, views, ROUNDS // 4)
    print("\nEach transform alone on a 224 x 224 view, less the call itself")
    for name in rows:
        print(f"  {name:<18} {parts[name] - parts['nothing']:7.3f} ms")


if __name__ == "__main__":
    main()
