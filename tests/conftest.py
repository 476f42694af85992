"""A folder of small pictures, and one model that was really trained, exported and tracked.

Training it takes longer than most tests, so it is made once and looked at by many. Whoever changes
something in it works on a copy.
"""

import contextlib
import io
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from pipelines.finetune import FinetuneResult
    from pipelines.plan import Plan

# Before TensorFlow, Keras or MLflow is imported by any test.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ.pop("MLFLOW_TRACKING_URI", None)

# The same examples in every run, so that a failure is of the change; `make soak` draws new ones.
hypothesis.settings.register_profile("same", derandomize=True, print_blob=True)
hypothesis.settings.load_profile("same")

Pixels = NDArray[np.uint8]
CLASSES = ("blue", "green", "red")
PICTURES_PER_CLASS = 12
SETTINGS = {
    "model.backbone": "tl_small",
    "model.weights": "tl",
    "model.image_size": 32,
    "augment.feature_views": 1,
    "training.strategy": "last",
    "training.epochs": 2,
    "training.learning_rate": 1e-3,
    "training.batch_size": 8,
    # Each takes seconds; the tests of them turn them on.
    "evaluation.parity": 0,
    "evaluation.robustness": 0,
}


def pytest_configure(config: pytest.Config) -> None:
    # MLflow 3.x asks its SQLite store for runs in a way that SQLAlchemy 2.1 discourages; the
    # warning comes up in our thread that sends to it.
    config.addinivalue_line(
        "filterwarnings", "ignore:The ``noload`` loader strategy:DeprecationWarning"
    )
    # Held back where it comes up, which a thread that changes the filters meanwhile undoes.
    config.addinivalue_line(
        "filterwarnings", "ignore:.*An input example was not provided:UserWarning"
    )


def publish_into(run: Path, output: Path) -> None:
    """Make a copied run export below ``output``; its record names the place of the original."""
    facts = json.loads((run / "run.json").read_text())
    facts["config"]["output"] = str(output)
    (run / "run.json").write_text(json.dumps(facts))


@pytest.fixture
def redirect_export() -> Callable[[Path, Path], None]:
    """`publish_into`, for fixtures in other folders."""
    return publish_into


def coloured_picture(label: int, number: int) -> Pixels:
    """A noisy 40 x 48 picture whose colour and stripes tell its class, but for one in four.

    The odd ones keep accuracy below 1 and scores away from 0 and 1, where a wrong answer shows.
    """
    rng = np.random.default_rng((label, number))
    picture = rng.integers(0, 90, (40, 48, 3))
    if number % 4 == 3:
        label = (label + 1) % 3
    picture[:, :, 2 - label] += 120
    picture[:: 2 + label] += 40
    return picture.clip(0, 255).astype(np.uint8)


def encode(picture: Pixels, kind: str = "JPEG", **options: Any) -> bytes:
    """Encode a picture with Pillow."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind, **options)
    return buffer.getvalue()


def write_pictures(root: Path, classes: dict[str, int] | None = None) -> Path:
    """Write a folder of JPEGs, a sub-folder a class."""
    for label, (name, count) in enumerate((classes or dict.fromkeys(CLASSES, 12)).items()):
        (root / name).mkdir(parents=True)
        for number in range(count):
            data = encode(coloured_picture(label % 3, number + 1000 * (label // 3)), quality=95)
            (root / name / f"{number:02}.jpg").write_bytes(data)
    return root


SHAPES = ("bar", "disc", "square")


def shapes_picture(shapes: tuple[str, ...], number: int) -> Pixels:
    """A noisy 40 x 48 picture with coloured shapes at random places."""
    rng = np.random.default_rng(number)
    picture = rng.integers(0, 60, (40, 48, 3)).astype(np.uint8)
    y, x = np.mgrid[0:40, 0:48]
    for shape in shapes:
        top, left = rng.integers(12, 28), rng.integers(12, 36)
        where = {
            "bar": abs(y - top) < 3,
            "disc": (y - top) ** 2 + (x - left) ** 2 < 100,
            "square": (abs(y - top) < 8) & (abs(x - left) < 8),
        }[shape]
        picture[where] = {"bar": (60, 60, 220), "disc": (60, 220, 60), "square": (220, 60, 60)}[
            shape
        ]
    return picture


def write_shapes(root: Path, count: int = 90) -> Path:
    """Write pictures of one to three shapes, and ``shapes.csv`` that says which."""
    rng = np.random.default_rng(0)
    lines = ["path,labels"]
    root.mkdir(parents=True)
    for number in range(count):
        shapes = tuple(one for one in SHAPES if rng.random() < 0.4) or (SHAPES[number % 3],)
        # What is painted of one in six is drawn anew: scores stay away from 0 and 1.
        painted = shapes if number % 6 else tuple(one for one in SHAPES if rng.random() < 0.4)
        data = encode(shapes_picture(painted, number), quality=95)
        (root / f"{number:02}.jpg").write_bytes(data)
        lines.append(f"{number:02}.jpg,{'|'.join(shapes)}")
    (root / "shapes.csv").write_text("\n".join(lines) + "\n")
    return root / "shapes.csv"


def write_discs(root: Path, count: int = 90) -> Path:
    """Write pictures of a disc, and ``discs.csv`` that gives its diameter in micrometres."""
    rng = np.random.default_rng(0)
    lines = ["path,diameter"]
    root.mkdir(parents=True)
    y, x = np.mgrid[0:40, 0:48]
    for number in range(count):
        radius = rng.uniform(3, 18)
        picture = rng.integers(0, 60, (40, 48, 3)).astype(np.uint8)
        where = (y - rng.integers(18, 22)) ** 2 + (x - rng.integers(20, 28)) ** 2 < radius**2
        picture[where] = rng.integers(150, 250)
        (root / f"{number:02}.jpg").write_bytes(encode(picture, quality=95))
        lines.append(f"{number:02}.jpg,{2000 + 200 * radius:.1f}")
    (root / "discs.csv").write_text("\n".join(lines) + "\n")
    return root / "discs.csv"


@dataclass(frozen=True)
class Trained:
    """A finished run.

    Attributes:
        home: the working directory it ran in, with runs/, models/ and mlflow.db.
        dataset: folder or table of pictures.
        run: its folder.
        version: the published SavedModel.
        plan: what was asked for.
        result: what `finetune` returned.
    """

    home: Path
    dataset: Path
    run: Path
    version: Path
    plan: "Plan"
    result: "FinetuneResult"


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep tl's cache out of the user's home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TL_CACHE_DIR", str(tmp_path_factory.mktemp("tl_cache")))
        yield


@pytest.fixture(scope="session")
def make_pictures() -> Callable[..., Path]:
    """Function that writes JPEGs: ``make_pictures(folder, {"cats": 5, "dogs": 4})``."""
    return write_pictures


@pytest.fixture(scope="session")
def make_picture() -> Callable[[int, int], Pixels]:
    """Function from label and number to a 40 x 48 picture like those of `pictures`."""
    return coloured_picture


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of twelve JPEGs; nobody writes into it."""
    return write_pictures(tmp_path_factory.mktemp("data") / "colours")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of datasets and weights that are too large, or not ours, for the repository."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("no folder `shared` beside the checkout: no real photographs or weights here")
    return folder


@pytest.fixture(scope="session")
def settings() -> dict[str, Any]:
    """What makes a run over `pictures` take seconds."""
    return dict(SETTINGS)


@pytest.fixture(scope="session")
def trained(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A run of `finetune` over `pictures`, in a working directory of its own."""
    return train(pictures, tmp_path_factory.mktemp("home"), {})


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of pictures with several labels; nobody writes beside it."""
    return write_shapes(tmp_path_factory.mktemp("data") / "shapes")


@pytest.fixture(scope="session")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of pictures with a number each; nobody writes beside it."""
    return write_discs(tmp_path_factory.mktemp("data") / "discs")


PLAIN = {"augment.recipe": "none", "augment.feature_views": 0}


@pytest.fixture(scope="session")
def trained_shapes(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A run over `shapes`."""
    return train(shapes, tmp_path_factory.mktemp("home"), PLAIN)


@pytest.fixture(scope="session")
def trained_discs(discs: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A run over `discs`."""
    numbers = {"data.problem": "regression", "data.label_column": "diameter"}
    return train(discs, tmp_path_factory.mktemp("home"), {**PLAIN, **numbers})


def train(dataset: Path, home: Path, changes: dict[str, Any]) -> Trained:
    """Run `finetune` in a working directory of its own."""
    from pipelines.finetune import finetune
    from pipelines.plan import make_plan
    from tl.config_reading import read_config

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        plan = make_plan(read_config(None, (), {"dataset": str(dataset), **SETTINGS, **changes}))
        result = finetune(plan)
        assert result.exported is not None
        assert result.tracking_fault is None
        return Trained(
            home,
            dataset,
            result.run.resolve(),
            result.exported.path.resolve(),
            plan,
            result,
        )


PLACES_IN_STORE = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def _forget_where_artifacts_go() -> None:
    """Empty what MLflow remembers by the run's id, which is the same in the copy of a store."""
    from mlflow.tracking._tracking_service import utils

    utils._artifact_repos_cache.clear()


@pytest.fixture
def copy_store(trained: Trained) -> Iterator[Callable[[Path], None]]:
    """Function that copies the experiment store of `trained` into another working directory.

    Its artefacts lie there, too: what is sent to the copy is not seen in the original.
    """

    def copy(home: Path) -> None:
        _forget_where_artifacts_go()
        shutil.copyfile(trained.home / "mlflow.db", home / "mlflow.db")
        with contextlib.closing(sqlite3.connect(home / "mlflow.db")) as database:
            for table, column in PLACES_IN_STORE:
                database.execute(
                    f"update {table} set {column} = replace({column}, ?, ?)",
                    (str(trained.home), str(home)),
                )
            database.commit()

    yield copy
    _forget_where_artifacts_go()  # the original's are asked for next


@pytest.fixture
def copied_run(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the run of `trained` in a working directory of its own, where it also exports."""
    monkeypatch.chdir(tmp_path)
    run = Path(shutil.copytree(trained.run, tmp_path / "runs" / trained.run.name))
    publish_into(run, tmp_path / "models")
    return run


@pytest.fixture(scope="session")
def served(trained: Trained) -> Any:
    """The published SavedModel, loaded by TensorFlow."""
    from tl.evaluation.served import load_served_model

    return load_served_model(trained.version)


@pytest.fixture
def mount_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Function from a size such as ``512k`` to a folder on a real file system of that size."""
    mounted: list[Path] = []

    def mount(size: str) -> Path:
        folder = tmp_path / "small"
        folder.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
            capture_output=True,
            check=False,
        )
        if done.returncode:
            pytest.skip("mounting a small file system is not permitted here")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
