"""Let a label stand for a version: what servers load, then what the experiment store says.

tl promote RUN --to champion
tl rollback flowers --to champion
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tl.errors import ConfigError, PromotionError, TlError, TrackingError
from tl.export.versions import list_versions
from tl.journal import JOURNAL
from tl.manifest import read_manifest
from tl.mlflow_models import ensure_experiment, log_model, registered_version, set_alias
from tl.mlflow_sender import failure_words, mlflow_client
from tl.promotion import (
    Promotion,
    alias_is_set,
    begin,
    check_label,
    finish,
    has_version,
    locked,
    owe_alias,
    owed_aliases,
    read_journal,
    remember,
    serve_label,
    take_back,
    version_before,
)
from tl.run_folder import RUNS, find_run, read_record
from tl.tracking import Store, default_store, sync_journal


@dataclass(frozen=True, slots=True)
class Promoted:
    """What came of a promotion.

    Attributes:
        promotion: as it was ordered.
        models: folder of the models.
        alias_fault: why the store does not have the alias yet, or None.
    """

    promotion: Promotion
    models: Path
    alias_fault: str | None


def promote(target: str, label: str, store: Store | None = None) -> Promoted:
    """Let a label stand for the version of a run, or for a version's folder.

    The label is served first: what answers requests does not wait for the experiment store.

    Raises:
        TlError: no such run, its version is gone, or the files cannot be written.
    """
    check_label(label)
    version = find_exported(target)
    models, model = version.parent.parent, version.parent.name
    run = str(read_manifest(version).get("id", ""))
    with _changing(models):
        _finish_pending(models)
        promotion = begin(models, model, label, int(version.name), run)
        _serve(models, promotion)
        return _all_told(models, promotion, store or default_store())


def roll_back(model: Path, label: str, store: Store | None = None) -> Promoted:
    """Let a label stand for the version that it stood for before.

    Args:
        model: folder of the model.
        label: of it.
        store: of experiments; None takes the default.

    Raises:
        PromotionError: there is none.
    """
    check_label(label)
    models = model.parent
    if not list_versions(model):
        raise ConfigError(f"no model at {model}: no such folder, or it has no version")
    with _changing(models):
        _finish_pending(models)
        number = version_before(models, model.name, label)
        run = str(read_manifest(model / str(number)).get("id", ""))
        promotion = begin(models, model.name, label, number, run, back=True)
        _serve(models, promotion)
        return _all_told(models, promotion, store or default_store())


def finish_interrupted(
    models: Path, say: Callable[[str], None], *, tell_store: bool = True
) -> None:
    """Finish promotions that were interrupted; what cannot be finished is said and stays.

    Called by tl commands where there is something to finish.

    Args:
        models: folder of models.
        say: receives a line for each.
        tell_store: also set aliases that a store did not take, which may wait for it; what serves
            or predicts does not.
    """
    try:
        with _changing(models):
            pending = read_journal(models)
            if pending is not None:
                _serve(models, pending)
                say(f"finished an interrupted promotion: {_words(pending)}")
            for one in owed_aliases(models) if tell_store else ():
                result = _told(models, one, default_store())
                if result.alias_fault is not None:
                    say(
                        f"warning: {_words(one)} where it is served, not yet in MLflow: "
                        f"{result.alias_fault}"
                    )
                    return
                say(f"MLflow knows now that {_words(one)}")
    except TlError as error:
        say(f"warning: an interrupted promotion is not finished: {error}")


def _words(promotion: Promotion) -> str:
    return f"{promotion.model} {promotion.version} is {promotion.label}"


@contextlib.contextmanager
def _changing(models: Path) -> Iterator[None]:
    """Hold the lock; what a disk refuses is said in a line."""
    try:
        with locked(models):
            remember(models)
            yield
    except OSError as error:
        raise PromotionError(
            f"cannot write to {models}: {error.strerror or error}. Once that is mended, any tl "
            "command finishes what was begun"
        ) from error


def find_exported(target: str) -> Path:
    """Return the folder of a version: of a run's export, or the one given.

    Raises:
        ConfigError: no such run or version.
        PromotionError: the run exported nothing, or it is gone.
    """
    path = Path(target)
    if (path / "saved_model.pb").is_file():
        return path.resolve()
    if list_versions(path):
        raise ConfigError(
            f"{path} has the versions {', '.join(map(str, list_versions(path)))}: name one, as in "
            f"{path / str(list_versions(path)[-1])}"
        )
    if "/" in target and (versions := list_versions(path.parent)):
        raise PromotionError(
            f"{path.parent} has no version {path.name}, it may have been deleted; there are "
            f"{', '.join(map(str, versions))}"
        )
    record = read_record(find_run(target))
    saved = record.outcome.get("saved_model")
    if not saved:
        raise PromotionError(
            f"run {record.id} is {record.state} and has no exported model; tl export {record.id}"
        )
    version = Path(saved)
    if not (version / "saved_model.pb").is_file():
        raise PromotionError(
            f"the version of run {record.id}, {version}, has been deleted; tl export {record.id} "
            "writes it again as a new one"
        )
    return version.resolve()


def _finish_pending(models: Path) -> None:
    pending = read_journal(models)
    if pending is not None:
        _serve(models, pending)


def _serve(models: Path, promotion: Promotion) -> None:
    """Move the label; each step changes nothing where it was done before."""
    if not has_version(models, promotion):
        take_back(models, promotion)
        raise PromotionError(
            f"{models / promotion.model} has no version {promotion.version}, it may have been "
            f"deleted: {promotion.label} is as it was before"
        )
    serve_label(models, promotion)
    owe_alias(models, promotion)
    finish(models, promotion)


def _all_told(models: Path, promotion: Promotion, store: Store) -> Promoted:
    """Tell the store of a label, and of those before that it did not take."""
    result = _told(models, promotion, store)
    if result.alias_fault is None:
        for one in owed_aliases(models):
            _told(models, one, store)
    return result


def _told(models: Path, promotion: Promotion, store: Store) -> Promoted:
    """Tell the store of a label that is served."""
    try:
        _set_alias(models, promotion, store)
    except TrackingError as error:
        return Promoted(promotion, models, str(error))
    alias_is_set(models, promotion)
    return Promoted(promotion, models, None)


def _set_alias(models: Path, promotion: Promotion, store: Store) -> None:
    path = (models / promotion.model / str(promotion.version)).resolve()
    journal = RUNS / promotion.run / JOURNAL if promotion.run else None
    run_id = None
    if journal is not None and journal.is_file():
        from pipelines.finish_run import tell_of_exports

        tell_of_exports(journal.parent)
        run_id = sync_journal(journal.parent, store)
    try:
        client: Any = mlflow_client(store.uri)
        number = registered_version(client, promotion.model, promotion.version, str(path), run_id)
        if number is None:  # of a run that is not in this folder
            experiment = ensure_experiment(client, promotion.model, store.artifacts)
            number = log_model(client, experiment, None, promotion.model, path)
        set_alias(client, promotion.model, promotion.label, str(number))
    except Exception as error:
        raise TrackingError(f"{store.uri}: {failure_words(error)}") from error
