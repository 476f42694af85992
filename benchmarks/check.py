"""What `tl check` finds and how fast it is.

    python benchmarks/check.py copies FLOWERS            resized, recompressed, cropped copies
    python benchmarks/check.py planted FLOWERS FOLDER    every kind of fault
    python benchmarks/check.py speed FLOWERS FOLDER 100000

FLOWERS is a folder of photos with one sub-folder a class; FOLDER is made, or used again where it
is there. The limit that `speed` compares with is cores x the rate at which one thread decodes the
same files, measured before and after the check.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tl.data.check import check_dataset
from tl.data.contents import InMemory
from tl.data.decode import MAX_PIXELS, decode_picture
from tl.data.example import Dataset, column
from tl.data.findings.finding import KINDS
from tl.data.look import look_at
from tl.data.similar import near_duplicates
from tl.data.sources import open_dataset

Image = NDArray[np.uint8]
ENDINGS = (".jpg", ".png", ".gif")


def encode(image: Image, quality: int = 92, ending: str = ".jpg") -> bytes:
    """Return RGB as a file."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if ending == ".jpg" else []
    done, data = cv2.imencode(ending, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    assert done
    return bytes(data)


def resize(image: Image, scale: float) -> Image:
    """Shrink by a factor."""
    smaller: Image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return smaller


def crop(image: Image, share: float, rng: random.Random) -> Image:
    """Cut a share off both sides of each direction, divided between them by chance."""
    height, width = (round(side * (1 - share)) for side in image.shape[:2])
    top = rng.randint(0, image.shape[0] - height)
    left = rng.randint(0, image.shape[1] - width)
    return image[top : top + height, left : left + width]


COPIES: dict[str, Callable[[Image, random.Random], bytes]] = {
    "resized to 0.3": lambda image, rng: encode(resize(image, 0.3)),
    "resized to 0.3 .. 1": lambda image, rng: encode(resize(image, rng.uniform(0.3, 1))),
    "JPEG quality 30": lambda image, rng: encode(image, 30),
    "JPEG quality 30 .. 95": lambda image, rng: encode(image, rng.randint(30, 95)),
    "crop of 5 %": lambda image, rng: encode(crop(image, 0.05, rng)),
    "all three": lambda image, rng: encode(
        resize(crop(image, 0.05, rng), rng.uniform(0.3, 1)), rng.randint(30, 95)
    ),
    "crop of 10 % (not asked for)": lambda image, rng: encode(crop(image, 0.1, rng)),
}


def copies(flowers: Path) -> None:
    """Print recall and false pairs, each kind of copy added to all originals by itself."""
    originals = open_dataset(str(flowers))
    files = [one.read() for one in originals]
    print(f"{len(files)} originals, each with one copy\n")
    print("| copy | recall | pairs found | false pairs | of them among originals |")
    print("|---|---|---|---|---|")
    for name, make in COPIES.items():
        made = [make(decode_picture(data), random.Random(i)) for i, data in enumerate(files)]
        pairs = near_duplicates(look_at(_in_memory(files + made), max_pixels=MAX_PIXELS).signatures)
        count = len(files)
        true = int((pairs[:, 1] - pairs[:, 0] == count).sum())
        same = pairs[(pairs % count)[:, 0] != (pairs % count)[:, 1]] % count
        kinds = {tuple(sorted(pair)) for pair in same.tolist()}
        print(
            f"| {name} | {true / count:.4f} | {len(pairs)} | {len(same)} "
            f"({len(same) / max(1, len(pairs)):.2%}) | "
            + "; ".join(f"{originals.keys[a]} and {originals.keys[b]}" for a, b in sorted(kinds))
            + " |"
        )


def _in_memory(files: list[bytes]) -> Dataset:
    return Dataset(
        name="memory",
        class_names=("a",),
        keys=column([str(index) for index in range(len(files))]),
        labels=np.zeros(len(files), np.int32),
        contents=InMemory(files),
        rows=np.arange(len(files)),
    )


def blend(files: list[Path], number: int, size: tuple[int, int]) -> Image:
    """Make a picture of its own: pieces of two photos, turned, mirrored and mixed."""
    rng = random.Random(number)
    parts = []
    for path in rng.sample(files, 2):
        image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        height, width = image.shape[:2]
        side = int(min(height, width) * rng.uniform(0.4, 0.8))
        top, left = rng.randint(0, height - side), rng.randint(0, width - side)
        piece = np.rot90(image[top : top + side, left : left + side], rng.randrange(4))
        piece = piece[:, ::-1] if rng.random() < 0.5 else piece
        parts.append(cv2.resize(np.ascontiguousarray(piece), size[::-1]).astype(np.float32))
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : size[0] * 1j, -1 : 1 : size[1] * 1j]
    mask = 1 / (1 + np.exp(-6 * (x * np.cos(angle) + y * np.sin(angle) + rng.uniform(-0.3, 0.3))))
    mixed = parts[0] * mask[..., None] + parts[1] * (1 - mask[..., None])
    shown: Image = np.clip(mixed * rng.uniform(0.8, 1.2), 0, 255).astype(np.uint8)
    return shown


class Plants:
    """A folder of train/ and val/ with faults, and which they are.

    Attributes:
        faults: by kind, the sets of files that a finding has to name.
    """

    def __init__(self, flowers: Path, folder: Path) -> None:
        self.folder = folder
        self.faults: dict[str, list[frozenset[str]]] = defaultdict(list)
        self._photos = sorted(flowers.rglob("*.jpg"))
        self._classes = sorted({path.parent.name for path in self._photos})
        self._number = 0
        self._rng = random.Random(7)

    def write(self, key: str, data: bytes, *kinds: str) -> str:
        """Write a file; it alone is the fault of these kinds."""
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        for kind in kinds:
            self.faults[kind].append(frozenset([key]))
        return key

    def image(self, size: tuple[int, int] = (240, 320)) -> Image:
        """Return a new picture."""
        self._number += 1
        return blend(self._photos, self._number, size)

    def key(self, ending: str = ".jpg", side: str = "train", label: str | None = None) -> str:
        """Return a new name."""
        self._number += 1
        label = label or self._classes[self._number % len(self._classes)]
        return f"{side}/{label}/made{self._number:05d}{ending}"

    def pair(self, exact: bool, sides: tuple[str, str], same_label: bool, *kinds: str) -> None:
        """Write a picture and its copy; together they are the fault of these kinds."""
        image = self.image()
        labels = [self._classes[0], self._classes[0 if same_label else 1]]
        first = encode(image, 90)
        make = self._rng.choice(list(COPIES.values())[:-1])
        other = first if exact else make(image, self._rng)
        keys = [
            self.write(self.key(side=side, label=label), data)
            for side, label, data in zip(sides, labels, (first, other), strict=True)
        ]
        for kind in (*kinds, "exact_duplicates" if exact else "near_duplicates"):
            self.faults[kind].append(frozenset(keys))

    def plant(self, total: int) -> None:
        """Write everything."""
        for path in self._photos:
            self.write(f"train/{path.parent.name}/{path.name}", path.read_bytes())
        for number in range(25):
            data = encode(self.image())
            if number % 5 == 4:
                self.write(self.key(".png"), encode(self.image(), ending=".png")[:-900],
                           "unreadable")  # fmt: skip
            else:
                part = (data[: len(data) // 2], data[:-7], b"", b"<html>not found</html>")
                self.write(self.key(), part[number % 4], "unreadable")
        for number in range(20):
            ending = (".png", ".jpg", ".gif")[number % 3]
            data = encode(self.image(), ending=".jpg" if ending == ".png" else ".png")
            self.write(self.key(ending), data, "wrong_extension")
        for exact in (True, False):
            for _ in range(25):
                self.pair(exact, ("train", "train"), True)
            for _ in range(20):
                self.pair(exact, ("train", "train"), False, "two_labels")
                self.pair(exact, ("train", "val"), True, "leakage")
        for number in range(20):
            size = ((20, 31), (31, 40), (8, 8), (30, 300 // 3))[number % 4]
            self.write(self.key(), encode(self.image(size)), "tiny")
            flat = np.full((240, 320, 3), self._rng.sample(range(256), 3), np.uint8)
            noise = np.random.default_rng(number).normal(0, number % 3 / 2, flat.shape)
            flat = np.clip(flat + noise, 0, 255).astype(np.uint8)
            self.write(self.key(), encode(flat), "blank")
            wide = ((60, 300), (50, 400), (400, 90))[number % 3]
            self.write(self.key(), encode(self.image(wide)), "extreme_aspect")
            grey = cv2.cvtColor(self.image(), cv2.COLOR_RGB2GRAY)
            shown = grey if number % 2 else np.repeat(grey[:, :, None], 3, axis=2)
            done, jpeg = cv2.imencode(".jpg", shown)
            assert done
            self.write(self.key(), bytes(jpeg), "grey_among_colour")
            self.write(self.key(), _turned(encode(self.image()), 2 + number % 7), "turned")
        for _ in range(2):
            large = cv2.resize(self.image((700, 900)), (9000, 7000))
            self.write(self.key(), encode(large, 60), "huge")
        for name in (".DS_Store", "Thumbs.db", "._photo.jpg", "desktop.ini"):
            self.write(f"train/{self._classes[2]}/{name}", b"\0\1", "hidden_files")
        upper = self._classes[3].upper()
        others = [self.write(self.key(label=upper), encode(self.image())) for _ in range(30)]
        self.faults["similar_labels"].append(frozenset([others[0]]))
        rare = self.write(self.key(label="rare"), encode(self.image()))
        self.faults["too_few"].append(frozenset([rare]))
        self.faults["imbalance"].append(frozenset([rare]))
        have = sum(one.suffix in ENDINGS and one.name[0] != "." for one in self.folder.rglob("*"))
        for number in range(total - have):
            side = "val" if number % 5 == 0 else "train"
            self.write(self.key(side=side), encode(self.image()))
        # Pictures on a val/ side make it a given one, which lacks some classes.
        given = {one.name for one in (self.folder / "val").iterdir()}
        for one in (self.folder / "train").iterdir():
            if one.is_dir() and one.name not in given:
                self.faults["missing_on_side"].append(
                    frozenset([f"train/{one.name}/{min(p.name for p in one.glob('[!.]*'))}"])
                )


def _turned(jpeg: bytes, orientation: int) -> bytes:
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01" + bytes(
        [0, orientation, 0, 0, 0, 0, 0, 0]
    )
    content = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + (len(content) + 2).to_bytes(2, "big") + content + jpeg[2:]


def planted(flowers: Path, folder: Path) -> None:
    """Print recall and precision of every kind."""
    plants = Plants(flowers, folder)
    if folder.exists():
        sys.exit(f"{folder} is there already")
    plants.plant(2000)
    natural = check_dataset(open_dataset(str(flowers)), max_pixels=MAX_PIXELS, folder=flowers)
    known = {(one.kind, frozenset(f"train/{key}" for key in one.keys)) for one in natural.findings}
    dataset = open_dataset(str(folder))
    report = check_dataset(dataset, max_pixels=MAX_PIXELS, folder=folder)
    print(f"{len(dataset)} pictures\n")
    print("| kind | severity | planted | found | recall | findings | precision | in the photos |")
    print("|---|---|---|---|---|---|---|---|")
    for kind, (severity, _) in KINDS.items():
        faults = plants.faults.get(kind, [])
        found = [frozenset(one.keys) for one in report.findings if one.kind == kind]
        own = [keys for keys in found if (kind, keys) in known]
        new = [keys for keys in found if (kind, keys) not in known]
        if not faults and not found:
            continue
        seen = sum(any(fault <= keys for keys in found) for fault in faults)
        right = sum(any(fault <= keys for fault in faults) for keys in new)
        recall = f"{seen / len(faults):.3f}" if faults else "-"
        precision = f"{right / len(new):.3f}" if new else "-"
        print(
            f"| {kind} | {severity} | {len(faults)} | {seen} | {recall} | {len(new)} | "
            f"{precision} | {len(own)} |"
        )
        wrong = [keys for keys in new if not any(fault <= keys for fault in faults)]
        for fault in faults:
            if not any(fault <= keys for keys in found):
                print(f"missed {kind}: {sorted(fault)}", file=sys.stderr)
        for keys in wrong:
            print(f"not planted {kind}: {sorted(keys)[:4]}", file=sys.stderr)


def speed(flowers: Path, folder: Path, count: int) -> None:
    """Print pictures a second, the decode limit of the same minutes, and the memory."""
    if not folder.exists():
        files = sorted(flowers.rglob("*.jpg"))
        for label in range(10):
            (folder / f"class{label}").mkdir(parents=True)
        with ProcessPoolExecutor() as pool:
            parts = range(0, count, 500)
            list(pool.map(partial(_synthesise, files, folder, count), parts))
    dataset = open_dataset(str(folder))
    cores = os.cpu_count() or 1
    sample = [
        dataset[place].read() for place in range(0, len(dataset), max(1, len(dataset) // 2000))
    ]
    before = _decode_rate(sample, 1), _decode_rate(sample, cores)
    cpu = [_decode_cpu(sample)]
    began = time.perf_counter()
    with Path(os.devnull).open("w") as nothing:
        process = subprocess.Popen(
            [sys.executable, "-m", "tl.cli", "check", "--dataset", str(folder), "--json"],
            stdout=subprocess.PIPE, stderr=nothing,
        )  # fmt: skip
        assert process.stdout is not None
        answer = json.loads(process.stdout.read())
        _, _, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    after = _decode_rate(sample, 1), _decode_rate(sample, cores)
    cpu.append(_decode_cpu(sample))
    one, all_cores = ((a + b) / 2 for a, b in zip(before, after, strict=True))
    rate = len(dataset) / seconds
    kilobytes = sum(map(len, sample)) / len(sample) / 1e3
    print(f"{len(dataset):,} pictures, {kilobytes:.1f} KB each in the mean; {cores} cores")
    print(f"load before {os.getloadavg()[0]:.1f}")
    print(f"tl check, whole process   {rate:8,.0f} pictures/s   {seconds:.1f} s")
    print(f"decoding, one thread      {before[0]:8,.0f} before, {after[0]:,.0f} after")
    print(f"decoding, {cores} threads       {before[1]:8,.0f} before, {after[1]:,.0f} after")
    print(f"of cores x one thread     {rate / (cores * one):8.2f}")
    print(f"of {cores} threads              {rate / all_cores:8.2f}")
    spent = usage.ru_utime + usage.ru_stime
    decoding = sum(cpu) / 2 / len(sample) * len(dataset)
    print(f"CPU seconds               {spent:8.1f}, of decoding alone {decoding:.1f}")
    # What is left of the comparison where other programs take a share of the cores.
    print(f"of decoding, by CPU time  {decoding / spent:8.2f}")
    print(f"peak memory               {usage.ru_maxrss / 1024:8,.0f} MB")
    print(f"findings                  {_counts(answer)}")


def _counts(answer: dict[str, Any]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for one in answer["findings"]:
        counts[one["kind"]] += 1
    return dict(counts)


def _synthesise(files: list[Path], folder: Path, count: int, start: int) -> None:
    cv2.setNumThreads(1)
    for number in range(start, min(start + 500, count)):
        data = encode(blend(files, number, (240, 320)), 88)
        (folder / f"class{number % 10}" / f"{number:06d}.jpg").write_bytes(data)


def _decode_rate(sample: list[bytes], threads: int) -> float:
    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(_decode_all, [sample[start::threads] for start in range(threads)]):
            pass
    return len(sample) / (time.perf_counter() - began)


def _decode_cpu(sample: list[bytes]) -> float:
    began = time.process_time()
    _decode_all(sample)
    return time.process_time() - began


def _decode_all(files: list[bytes]) -> None:
    for data in files:
        decode_picture(data)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["copies", "planted", "speed"])
    parser.add_argument("flowers", type=Path)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("count", type=int, nargs="?", default=100_000)
    given = parser.parse_args()
    if given.what == "copies":
        copies(given.flowers)
    elif given.what == "planted":
        planted(given.flowers, given.folder)
    else:
        speed(given.flowers, given.folder, given.count)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"peak memory of this script: {peak} MB", file=sys.stderr)
