"""Whatever is wrong ends with one line that says what, which value and what to do."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
Prepare = Callable[[Path, Callable[..., Path]], list[str]]


def missing(here: Path, make: Callable[..., Path]) -> list[str]:
    return ["--dataset", "nowhere"]


def empty(here: Path, make: Callable[..., Path]) -> list[str]:
    (here / "empty").mkdir()
    return ["--dataset", "empty"]


def one_class(here: Path, make: Callable[..., Path]) -> list[str]:
    make(here / "cats_only", {"cats": 5})
    return ["--dataset", "cats_only"]


def small_class(here: Path, make: Callable[..., Path]) -> list[str]:
    make(here / "pets", {"cats": 9, "lynx": 2})
    return ["--dataset", "pets"]


def unreadable(here: Path, make: Callable[..., Path]) -> list[str]:
    folder = make(here / "broken", {"cats": 4, "dogs": 4})
    for number in range(3):
        (folder / "cats" / f"text{number}.jpg").write_text("this is text")
    whole = (folder / "dogs" / "00.jpg").read_bytes()
    (folder / "dogs" / "cut.jpg").write_bytes(whole[: len(whole) // 8])
    return ["--dataset", "broken"]


def good(*words: str) -> Prepare:
    def prepare(here: Path, make: Callable[..., Path]) -> list[str]:
        make(here / "good", {"cats": 5, "dogs": 5})
        return ["--dataset", "good", *words]

    return prepare


def labelled(labels: str, *words: str) -> Prepare:
    """A table of the pictures of a folder with labels of its own."""

    def prepare(here: Path, make: Callable[..., Path]) -> list[str]:
        folder = make(here / "tabled", {"cats": 8})
        lines = [f"cats/{n:02}.jpg,{label}" for n, label in enumerate(labels.split(","))]
        (folder / "t.csv").write_text("\n".join(["path,labels", *lines]) + "\n")
        return ["--dataset", "tabled/t.csv", *words]

    return prepare


NUMBERS = labelled("1,2,3,4,5,6,7,8", "--problem", "regression")


def numbers(*words: str) -> Prepare:
    return lambda here, make: [*NUMBERS(here, make), *words]


def below_a_file(here: Path, make: Callable[..., Path]) -> list[str]:
    (here / "file").write_text("kept")
    return [*good("--backbone", "tl_small")(here, make), "--output", "file/models"]


def bad_toml(here: Path, make: Callable[..., Path]) -> list[str]:
    (here / "run.toml").write_text("dataset = [unclosed")
    return ["--config", "run.toml"]


def typo_in_toml(here: Path, make: Callable[..., Path]) -> list[str]:
    (here / "run.toml").write_text("[training]\nlerning_rate = 0.1\n")
    return [*good()(here, make), "--config", "run.toml"]


def inside_the_dataset(here: Path, make: Callable[..., Path]) -> list[str]:
    return [*good("--backbone", "tl_small")(here, make), "--output", "good/cats"]


def bombs(here: Path, make: Callable[..., Path]) -> list[str]:
    folder = make(here / "bombs", {"cats": 4, "dogs": 4})
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(20_001 * 20_000), 9)
    parts = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    chunks = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts
    )
    (folder / "cats" / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    return ["--dataset", "bombs"]


CASES: dict[str, tuple[Prepare, int, tuple[str, ...]]] = {
    "missing folder": (missing, 2, ("nowhere",)),
    "empty folder": (empty, 1, ("empty",)),
    "one class only": (one_class, 1, ("one class only", "cats", "two or more")),
    "class too small": (small_class, 1, ("class 'lynx' has 2", "needs 3", "data.val_fraction")),
    "unreadable files": (
        unreadable, 1, ("4 of 12", "cats/text0.jpg", "data.max_unreadable_fraction"),
    ),
    "a bomb among few pictures": (
        bombs, 1, ("1 of 9", "cats/bomb.png", "400 megapixels", "limit of 100"),
    ),
    "weights file that is not there, even for a dry run": (
        good("--backbone", "tl_small", "--weights", "gone.h5", "--dry-run"), 2, ("gone.h5",),
    ),
    "size below the backbone's minimum, even for a dry run": (
        good("--backbone", "inception_v3", "--weights", "none", "--image-size", "64", "--dry-run"),
        2, ("64x64", "inception_v3", "75x75"),
    ),
    "output among the pictures": (inside_the_dataset, 2, ("good/cats", "outside of the dataset")),
    "output without a name": (good("--output", ""), 2, ("output = ''",)),
    "weights that nobody publishes, even for a dry run": (
        good("--backbone", "resnet18", "--dry-run"),
        2,
        ("resnet18 has no pretrained weights", "tl pretrain", "--weights none"),
    ),
    "unknown option of a backbone": (
        good("--backbone", "alexnet:activation=relo", "--weights", "none"),
        2,
        ("no activation 'relo'", "did you mean 'relu'"),
    ),
    "unknown backbone": (good("--backbone", "resnet5"), 2, ("resnet5", "did you mean 'resnet50'")),
    "unknown weights": (
        good("--backbone", "tl_small", "--weights", "imagnet"), 2, ("imagnet", "'imagenet'"),
    ),
    "weights of nobody": (
        good("--backbone", "vgg16", "--weights", "tl"), 2, ("vgg16", "--backbone tl_small"),
    ),
    "output below a file": (below_a_file, 1, ("file/models", "is a file")),
    "output not writable": (
        good("--backbone", "tl_small", "--output", "/proc/models"), 1, ("/proc/models",),
    ),
    "set without a value": (
        good("--set", "training.epochs"), 2, ("'training.epochs'", "key=value"),
    ),
    "set with an unknown key": (
        good("--set", "training.epoch=3"), 2, ("training.epoch", "did you mean 'training.epochs"),
    ),
    "set to a wrong type": (
        good("--set", "training.epochs=many"), 2, ("training.epochs", "'many'", "whole number"),
    ),
    "impossible value": (
        good("--set", "training.learning_rate=-1"), 2, ("training.learning_rate = -1", "above 0"),
    ),
    "impossible flag": (good("--epochs", "0"), 2, ("training.epochs = 0", "1 or more")),
    "flag of a wrong type": (good("--epochs", "many"), 2, ("--epochs", "many")),
    "batch size that is neither number nor auto": (
        good("--batch-size", "car"), 2, ("training.batch_size = 'car'", "whole number or auto"),
    ),
    "batch of nothing": (good("--batch-size", "0"), 2, ("training.batch_size = 0", "1 or more")),
    "unknown strategy": (good("--strategy", "top"), 2, ("--strategy", "top", "last")),
    "impossible name": (good("--name", "../up"), 2, ("'../up'", "letters, digits")),
    "malformed TOML": (bad_toml, 2, ("--config run.toml", "TOML")),
    "typo in TOML": (typo_in_toml, 2, ("training.lerning_rate", "training.learning_rate")),
    "text among numbers": (
        labelled("1,2,tall,4,5,6,7,8", "--problem", "regression"), 1, ("row 3", "'tall'"),
    ),
    "one value only": (
        labelled("3,3,3,3,3,3,3,3", "--problem", "regression"), 1, ("one value 3", "two or more"),
    ),
    "numbers of classes that are none": (
        good("--problem", "regression"), 1, ("'cats'", "Give a table with a column of numbers"),
    ),
    "one label where there are several": (
        labelled("a,a|b,b,a,b,a,b,a", "--problem", "single_label"),
        1, ("'single_label'", "cats/01.jpg", "a and b", "multi_label"),
    ),
    "few shots of numbers": (numbers("--shots", "2"), 2, ("data.shots = 2", "no classes")),
    "pasted rectangles of numbers": (
        numbers("--set", "augment.cutmix=1.0"), 2, ("augment.cutmix = 1.0", "augment.mixup"),
    ),
    "balance of several labels": (
        labelled("a|b,a|b,b,a,b,a,b,a", "--set", "training.balance=weights"),
        2, ("training.balance = 'weights'", "multi_label"),
    ),
    "unknown problem": (good("--problem", "ranking"), 2, ("--problem", "ranking", "regression")),
    "time that is none": (good("--time-budget", "soon"), 2, ("--time-budget 'soon'", "1h30m")),
    "no time": (good("--time-budget", "0s"), 2, ("--time-budget '0s'", "more than 0")),
    "mixup of solved heads": (
        good("--strategy", "features", "--set", "augment.mixup=0.2"),
        2, ("augment.mixup = 0.2", "fine-tunes nothing", "last, all or auto"),
    ),
    "force without a run": (good("--force"), 2, ("--force", "--resume RUN")),
    "resume of no run": (lambda here, make: ["--resume", "gone"], 2, ("no run 'gone'",)),
    "no such config": (good("--config", "gone.toml"), 2, ("gone.toml", "No such file")),
    "no dataset": (lambda here, make: [], 2, ("no dataset; give --dataset",)),
    "picture too small": (
        good("--backbone", "vgg16", "--image-size", "8"), 2, ("model.image_size = 8", "16 to"),
    ),
}  # fmt: skip


def state(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("case", CASES)
def test_finetune_refuses(
    case: str, tl: Run, make_pictures: Callable[..., Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    prepare, code, words = CASES[case]
    monkeypatch.chdir(tmp_path)
    arguments = prepare(tmp_path, make_pictures)
    before = state(tmp_path)

    done = tl("finetune", *arguments)

    assert done.code == code, done.err
    for word in words:
        assert word in done.error
    assert "Traceback" not in done.err
    assert state(tmp_path) == before


def test_weights_of_another_network_are_refused(
    tl: Run, shared: Path, make_pictures: Callable[..., Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    files = sorted((shared / "weights").glob("mobilenet_v2_*.h5"))
    if not files:
        pytest.skip("no MobileNetV2 weights in shared/weights")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "unknown-scheme://store")
    make_pictures(tmp_path / "good", {"cats": 5, "dogs": 5})

    done = tl("finetune", "--dataset", "good", "--backbone", "mobilenet_0.25",
              "--weights", files[0], "--image-size", "32")  # fmt: skip

    assert done.code == 1
    last = done.err.splitlines()[-1]
    assert last.startswith("error: ")
    assert files[0].name in last
    assert "Traceback" not in done.err
    assert not (tmp_path / "models").exists()


OTHERS: dict[str, tuple[tuple[str, ...], int, tuple[str, ...]]] = {
    "predict without a model": (("predict", "gone", "{picture}"), 2, ("no model at gone",)),
    "predict without the picture": (("predict", "{model}", "gone.jpg"), 1, ("gone.jpg", "No such")),
    "predict text": (("predict", "{model}", "{text}"), 1, ("text.jpg", "not a picture")),
    "predict with the key of a folder": (
        ("predict", "{model}", "{picture}", "--key", "key.pem"), 2, ("--key is for a server",),
    ),
    "predict with the ca of a server in the clear": (
        ("predict", "http://127.0.0.1:9/colours", "{picture}", "--ca", "ca.pem"), 1,
        ("ca is for TLS", "https://127.0.0.1:9"),
    ),
    "predict by a dead server": (
        ("predict", "http://127.0.0.1:9/colours", "{picture}"), 1, ("127.0.0.1:9",),
    ),
    "evaluate without a model": (
        ("evaluate", "gone", "--dataset", "{data}"), 2, ("no model at gone",),
    ),
    "evaluate a folder of models": (
        ("evaluate", "{models}", "--dataset", "{data}"), 2, ("colours", "name one"),
    ),
    "evaluate nothing": (("evaluate", "{model}", "--dataset", "gone"), 2, ("gone",)),
    "export no run": (("export", "gone"), 2, ("no run 'gone'",)),
    "sync no run": (("track", "sync", "gone"), 2, ("no run 'gone'",)),
    "experiments without a store": (("experiments",), 1, ("no mlflow.db", "MLFLOW_TRACKING_URI")),
    "pretrain to no npz": (
        ("pretrain", "--dataset", "{data}", "--output", "a.h5", "--checkpoint", "c"), 2, (".npz",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHERS)
def test_other_commands_refuse(
    case: str, tl: Run, trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments, code, words = OTHERS[case]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.jpg").write_text("this is text")
    places = {
        "model": trained.version, "models": trained.home / "models", "data": trained.dataset,
        "picture": trained.dataset / "red" / "00.jpg", "text": tmp_path / "text.jpg",
    }  # fmt: skip
    before = state(tmp_path)

    done = tl(*(word.format(**places) for word in arguments))

    assert done.code == code, done.err
    for word in words:
        assert word in done.error
    assert state(tmp_path) == before


def test_wrong_input_to_the_real_command(
    tl_process: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    done = tl_process("finetune", "--dataset", "nowhere", "--backbone", "tl_small")

    assert done.code == 2
    assert "nowhere" in done.error
    assert done.out == ""
