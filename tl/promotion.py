"""Which version of a model is served under which label, and what it was before.

``models/models.config`` is what TensorFlow Serving and the server in here are started with: it
holds the labels, and the versions that are loaded. Every promotion is first a journal beside it,
``models/.promotion.json``, then the label, then the alias of the experiment store; what a
crash interrupts is finished by the next tl command. Aliases that a store did not take stay in
``models/.aliases.json``: what is served never waits for a store. ``models/promotions.jsonl`` is the
history.
"""

import contextlib
import datetime
import fcntl
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tl.errors import ConfigError, PromotionError
from tl.export.versions import list_versions
from tl.written_aside import written_aside

CONFIG = "models.config"
JOURNAL = ".promotion.json"
OWED = ".aliases.json"
HISTORY = "promotions.jsonl"
HERE = Path("models")
ELSEWHERE = Path("runs", ".models.json")
"""Folders of models other than that of the working directory, in which runs here were promoted."""
_LOCK = ".promotion.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """A label that is to stand for a version.

    Attributes:
        model: name of the model.
        label: such as ``champion``.
        version: that it is to stand for.
        before: that it stood for, or None.
        run: id of the run that the version is of, or empty.
        when: time of the order, UTC.
        back: whether the order was to go back to it.
    """

    model: str
    label: str
    version: int
    before: int | None
    run: str
    when: str
    back: bool = False


def check_label(label: str) -> str:
    """Return a label, or refuse what can be no part of a URL or no alias.

    Raises:
        ConfigError: with the reason.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,99}", label) or re.fullmatch(r"v\d+", label):
        raise ConfigError(
            f"label {label!r}: use up to 100 letters, digits, '_' and '-', beginning with a letter "
            "and not 'v' with a number, which MLflow takes for a version"
        )
    if label == "latest":
        raise ConfigError("label 'latest' is MLflow's own name for the newest; take another")
    return label


def read_labels(models: Path) -> dict[str, dict[str, int]]:
    """Return model -> label -> version of a folder of models; empty where nothing was promoted.

    Raises:
        PromotionError: ``models.config`` is damaged.
    """
    return {one.name: dict(one.version_labels) for one in _read(models).model_config_list.config}


def begin(
    models: Path, model: str, label: str, version: int, run: str, *, back: bool = False
) -> Promotion:
    """Write the journal of a promotion.

    Raises:
        PromotionError: the version is not there, or an earlier promotion is not finished.
    """
    _check_version(models / model, version)
    pending = read_journal(models)
    if pending is not None:
        raise PromotionError(
            f"the promotion of {pending.model} {pending.version} to {pending.label} is not "
            "finished; any tl command finishes it"
        )
    promotion = Promotion(
        model=model,
        label=label,
        version=version,
        before=read_labels(models).get(model, {}).get(label),
        run=run,
        when=datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds"),
        back=back,
    )
    with written_aside(models / JOURNAL) as aside:
        aside.write_text(json.dumps(asdict(promotion), indent=2) + "\n")
    return promotion


def read_journal(models: Path) -> Promotion | None:
    """Return the promotion that is under way, or was interrupted.

    Raises:
        PromotionError: the journal is damaged.
    """
    path = models / JOURNAL
    try:
        return Promotion(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise PromotionError(
            f"{path} cannot be read ({error}): look at {models / CONFIG}, and remove the journal "
            "where its labels are as they should be"
        ) from error


def serve_label(models: Path, promotion: Promotion) -> None:
    """Let the label stand for the version in ``models.config``; doing it again changes nothing.

    The versions that any label stands for are loaded, and the one that the label stood for before,
    so that requests under way are answered and going back takes no loading.

    Raises:
        PromotionError: the version is gone, or the file is damaged or cannot be written.
    """
    folder = models / promotion.model
    _check_version(folder, promotion.version)
    message = _read(models)
    entries = {one.name: one for one in message.model_config_list.config}
    entry = entries.get(promotion.model)
    if entry is None:
        entry = message.model_config_list.config.add(
            name=promotion.model, base_path=str(folder.resolve()), model_platform="tensorflow"
        )
    entry.version_labels[promotion.label] = promotion.version
    present = set(list_versions(folder))
    wanted = {*entry.version_labels.values(), promotion.before or promotion.version}
    policy = entry.model_version_policy
    if policy.WhichOneof("policy_choice") in (None, "specific"):  # what a person chose stays
        del policy.specific.versions[:]
        policy.specific.versions.extend(sorted(wanted & present))
    elif policy.WhichOneof("policy_choice") == "latest":
        newest = sorted(present)[-(policy.latest.num_versions or 1) :]
        if not wanted & present <= set(newest):
            policy.ClearField("latest")
            policy.specific.versions.extend(sorted(wanted & present))
    _write(models, message)


def take_back(models: Path, promotion: Promotion) -> None:
    """Undo a promotion whose version is gone: the label stands for what it stood for before."""
    message = _read(models)
    for entry in message.model_config_list.config:
        if entry.name == promotion.model and (
            entry.version_labels.get(promotion.label) == promotion.version
        ):
            del entry.version_labels[promotion.label]
            if promotion.before in list_versions(models / promotion.model):
                entry.version_labels[promotion.label] = promotion.before
            _write(models, message)
    (models / JOURNAL).unlink(missing_ok=True)


def owe_alias(models: Path, promotion: Promotion) -> None:
    """Note that the store is to be told of a label, in place of an older order for it."""
    owed = [
        one
        for one in owed_aliases(models)
        if (one.model, one.label) != (promotion.model, promotion.label)
    ]
    _write_owed(models, [*owed, promotion])


def alias_is_set(models: Path, promotion: Promotion) -> None:
    """Note that the store knows of a label."""
    _write_owed(models, [one for one in owed_aliases(models) if one != promotion])


def owed_aliases(models: Path) -> list[Promotion]:
    """Return the promotions whose label the store does not know; a damaged file has none."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return [Promotion(**one) for one in json.loads((models / OWED).read_text())]
    return []


def _write_owed(models: Path, owed: Sequence[Promotion]) -> None:
    if not owed:
        (models / OWED).unlink(missing_ok=True)
        return
    with written_aside(models / OWED) as aside:
        aside.write_text(json.dumps([asdict(one) for one in owed], indent=2) + "\n")


def finish(models: Path, promotion: Promotion) -> None:
    """Write a promotion into the history, and remove its journal."""
    line = json.dumps(asdict(promotion))
    history = models / HISTORY
    known = history.read_text().splitlines() if history.is_file() else []
    if line not in known:  # a crash may have come between
        with written_aside(history) as aside:
            aside.write_text("\n".join([*known, line]) + "\n")
    (models / JOURNAL).unlink(missing_ok=True)


def read_history(models: Path) -> list[Promotion]:
    """Return all finished promotions, the oldest first; damaged lines are passed over."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for line in (models / HISTORY).read_text().splitlines():
            with contextlib.suppress(ValueError, TypeError):
                found.append(Promotion(**json.loads(line)))
    return found


def version_before(models: Path, model: str, label: str) -> int:
    """Return the version that a label stood for before the one of now.

    Raises:
        PromotionError: there is none, or it was deleted.
    """
    now = read_labels(models).get(model, {}).get(label)
    if now is None:
        raise PromotionError(f"no version of {model} is {label}; {_labels_words(models, model)}")
    # Going back twice goes back twice: what a rollback left is not come back to.
    stood: list[int] = []
    for one in read_history(models):
        if (one.model, one.label) == (model, label):
            if one.back and len(stood) > 1:
                stood.pop()
            elif not stood or stood[-1] != one.version:
                stood.append(one.version)
    if len(stood) < 2:
        raise PromotionError(
            f"{model} {now} is the first version that was {label}: there is none to go back to"
        )
    _check_version(models / model, stood[-2])
    return stood[-2]


def folders_with_work() -> list[Path]:
    """Return the folders where a promotion was interrupted, or a store is owed a label."""
    return [
        folder
        for folder in (HERE, *_elsewhere())
        if any((folder / name).is_file() for name in (JOURNAL, OWED))
    ]


def remember(models: Path) -> None:
    """Note a folder of models, so that the next tl command finds what is interrupted there."""
    folder, known = models.resolve(), _elsewhere()
    if folder != HERE.resolve() and folder not in known and ELSEWHERE.parent.is_dir():
        with written_aside(ELSEWHERE) as aside:
            aside.write_text(json.dumps([*map(str, known), str(folder)]) + "\n")


def _elsewhere() -> list[Path]:
    with contextlib.suppress(OSError, ValueError, TypeError):
        return [Path(one) for one in json.loads(ELSEWHERE.read_text())]
    return []


@contextlib.contextmanager
def locked(models: Path) -> Iterator[None]:
    """Let one process at a time change labels.

    Raises:
        PromotionError: another one does, or the folder cannot be written to.
    """
    try:
        models.mkdir(parents=True, exist_ok=True)
        file = (models / _LOCK).open("a")
    except OSError as error:
        raise PromotionError(f"cannot write to {models}: {error.strerror or error}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise PromotionError(
                f"another tl command is changing the labels in {models}; try again"
            ) from None
        yield


def has_version(models: Path, promotion: Promotion) -> bool:
    """Tell whether the version of a promotion is there."""
    return promotion.version in list_versions(models / promotion.model)


def _check_version(folder: Path, version: int) -> None:
    present = list_versions(folder)
    if version not in present:
        raise PromotionError(
            f"{folder} has no version {version}, it may have been deleted; "
            f"{_versions_words(present)}"
        )


def _versions_words(present: Sequence[int]) -> str:
    return f"there are {', '.join(map(str, present))}" if present else "there is none"


def _labels_words(models: Path, model: str) -> str:
    labels = read_labels(models).get(model, {})
    known = ", ".join(f"{label} is {version}" for label, version in sorted(labels.items()))
    return known or "it has no labels"


def _read(models: Path) -> Any:
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    path, message = models / CONFIG, model_server_config_pb2.ModelServerConfig()
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), message)
    except FileNotFoundError:
        return message
    except (OSError, text_format.ParseError, UnicodeDecodeError) as error:
        raise PromotionError(f"cannot read {path}: {error}") from error


def _write(models: Path, message: Any) -> None:
    from google.protobuf import text_format

    path = models / CONFIG
    try:
        with written_aside(path) as aside:
            aside.write_text(text_format.MessageToString(message, as_utf8=True), encoding="utf-8")
    except OSError as error:
        raise PromotionError(f"cannot write {path}: {error.strerror or error}") from error
