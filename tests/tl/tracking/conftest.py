"""A store, made once: the first SQLite store of a process takes 5 s."""

from pathlib import Path
from typing import Any

import pytest

from tl.tracking import Store


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """An empty store, of which tests use experiments and models by names of their own."""
    from tl.mlflow_sender import mlflow_client

    folder = tmp_path_factory.mktemp("store")
    made = Store(f"sqlite:///{folder / 'mlflow.db'}", folder / "mlartifacts")
    mlflow_client(made.uri).search_experiments()
    return made


@pytest.fixture(scope="session")
def client(store: Store) -> Any:
    from tl.mlflow_sender import mlflow_client

    return mlflow_client(store.uri)


@pytest.fixture(autouse=True)
def no_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is unreachable is so at once; `tl` itself tries twice more."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "run"
    made.mkdir()
    return made
