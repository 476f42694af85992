"""Cost against size: open, split and get the first batch of a table of 1,000 to 1,000,000 rows.

    python benchmarks/table_size.py ../shared/data/flower_photos

Each size in a process of its own, which also tells its peak memory. The rows are different paths to
the same photographs (more slashes), 100 a class; above 100,000 rows pictures are told by
their names.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIZES = (1_000, 10_000, 100_000, 1_000_000)
ROWS_PER_CLASS = 100
VARIANTS = 40  # slashes at two places give VARIANTS ** 2 names of one file


def main(photos: Path) -> None:
    """Print a table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = sorted(photos.rglob("*.jpg"))
    print("| rows | file | open s | split s | first batch s | peak MB |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        deep = Path(folder, "x", "y")
        deep.mkdir(parents=True)
        for number, file in enumerate(files):
            (deep / f"{number:04d}.jpg").symlink_to(file.resolve())
        for rows in SIZES:
            names = [name(number, len(files)) for number in range(rows)]
            labels = [f"class {number % (rows // ROWS_PER_CLASS):05d}" for number in range(rows)]
            path = Path(folder, "t.parquet")
            pq.write_table(pa.table({"path": names, "label": labels}), path)
            done = subprocess.run(
                [sys.executable, __file__, "--one", str(path)],
                stdout=subprocess.PIPE, text=True, check=True,
                env={**os.environ, "TL_CACHE_DIR": folder},
            )  # fmt: skip
            size = f"{path.stat().st_size / 1e6:.1f} MB"
            print(f"| {rows:,} | {size} | {' | '.join(done.stdout.split())} |", flush=True)


def name(number: int, files: int) -> str:
    """Return a path of its own for every number, to one of the files."""
    variant, file = divmod(number, files)
    first, second = divmod(variant, VARIANTS)
    return f"x{'/' * (1 + first)}y{'/' * (1 + second)}{file:04d}.jpg"


def one(path: str) -> None:
    """Measure one table in this process."""
    from tl.augment.pca_jitter import ColourPca
    from tl.augment.recipes import Augmentation
    from tl.config import DataConfig
    from tl.data.batches import training_batches
    from tl.data.prepare import prepare_data
    from tl.data.sources import open_dataset

    open_dataset(path)  # what importing costs is not the table's
    began = time.perf_counter()
    rows = len(open_dataset(path))
    opened = time.perf_counter() - began
    identity = "key" if rows > 10_000 else "content"
    began = time.perf_counter()
    config = DataConfig(identity=identity)  # type: ignore[arg-type]
    data = prepare_data(path, config, seed=0, cache=None)
    split = time.perf_counter() - began - opened
    began = time.perf_counter()
    grey = ColourPca((0.1, 0.01, 0.001), ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)))
    batches = training_batches(
        data.side("train"), Augmentation("default", (224, 224), grey), batch_size=32, seed=0
    )
    next(iter(batches))
    first = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{opened:.2f} {split:.2f} {first:.2f} {peak:.0f}")


if __name__ == "__main__":
    one(sys.argv[2]) if sys.argv[1] == "--one" else main(Path(sys.argv[1]))
