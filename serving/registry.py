"""The versions that are loaded, what state they are in, and who is using them.

The loader writes, requests read. A request holds its version from `acquire` to the end, so a
version that is retired in between stays whole until the last of its requests is answered.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

from serving.errors import InvalidArgument, NotFound, ServingError
from serving.servable import Servable


class State(Enum):
    """The life of a version, in the protocol's words and numbers."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef:
    """What a request asks for: a model, and its newest version or one by number or label."""

    name: str
    version: int | None = None
    label: str = ""


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """The state of one version; `error` says why it ended, where it did not end well."""

    version: int
    state: State
    error: ServingError | None


@dataclass(frozen=True, slots=True)
class VersionView:
    """A version as it is now; `servable` is there while it can answer."""

    model: str
    version: int
    state: State
    in_flight: int
    servable: Servable | None


class _Entry:
    def __init__(self) -> None:
        self.state = State.START
        self.error: ServingError | None = None
        self.servable: Servable | None = None
        self.in_flight = 0


class Registry:
    """The models of one server; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._models: dict[str, dict[int, _Entry]] = {}
        self._required: set[str] = set()
        self._withdrawn: set[str] = set()
        self._labels: dict[str, dict[str, int]] = {}
        self._retired: list[_Entry] = []

    def expect(self, name: str) -> None:
        """Make readiness wait for this model from the start."""
        with self._lock:
            self._models.setdefault(name, {})
            self._required.add(name)

    @property
    def names(self) -> tuple[str, ...]:
        """The models that are configured or were found, sorted; none that was taken away."""
        with self._lock:
            return tuple(sorted(self._models.keys() - self._withdrawn))

    def has_versions(self, name: str) -> bool:
        """Tell whether any version of the model was seen yet."""
        with self._lock:
            return bool(self._models.get(name))

    def is_ready(self) -> bool:
        """Tell whether there is a model, and every one has a version that answers, and its labels.

        A model that was found later counts from then on: its loading must not take a server that
        answers for the others out of service.
        """
        with self._lock:
            return bool(self._required) and all(
                name in self._labels and self._answers(name) for name in self._required
            )

    def statuses(self, ref: ModelRef) -> tuple[VersionStatus, ...]:
        """Give the state of every version of a model, or of the one asked for, newest first.

        Raises:
            NotFound: no such model or version was ever seen.
        """
        with self._lock:
            entries = self._models.get(ref.name, {})
            found = tuple(
                VersionStatus(version, entry.state, entry.error)
                for version, entry in sorted(entries.items(), reverse=True)
                if ref.version in (None, version)
            )
        if not found and ref.version is not None:
            raise NotFound(f"Could not find version {ref.version} of model {ref.name}")
        if not found:
            raise NotFound(f"Could not find any versions of model {ref.name}")
        return found

    def versions(self, name: str, state: State) -> frozenset[int]:
        """Give the versions of a model that are in a state."""
        with self._lock:
            entries = self._models.get(name, {})
            return frozenset(v for v, entry in entries.items() if entry.state is state)

    def overview(self) -> tuple[VersionView, ...]:
        """Give every version of every model that is configured or was found."""
        with self._lock:
            return tuple(
                VersionView(name, version, entry.state, entry.in_flight, entry.servable)
                for name, entries in sorted(self._models.items())
                if name not in self._withdrawn
                for version, entry in sorted(entries.items())
            )

    @contextmanager
    def acquire(self, ref: ModelRef) -> Iterator[Servable]:
        """Lend the version asked for; it stays loaded until the block ends.

        Raises:
            InvalidArgument: no name, or a label that stands for nothing.
            NotFound: the model or the version cannot answer now.
        """
        entry, servable = self._enter(ref)
        try:
            yield servable
        finally:
            with self._lock:
                entry.in_flight -= 1

    def label(self, name: str, labels: Mapping[str, int], *, even_if_absent: bool = False) -> None:
        """Let labels of a model stand for versions from now on; others are dropped.

        Called for every model, also without labels, once its versions are loaded.

        A label whose version does not answer yet keeps the version that it had, so that moving a
        label never fails a request; one that is new waits for its version.

        Args:
            name: of the model.
            labels: label -> version.
            even_if_absent: let new labels stand for versions that do not answer (yet).
        """
        with self._lock:
            entries, had = self._models.get(name, {}), self._labels.get(name, {})
            now = {}
            for label, version in labels.items():
                entry = entries.get(version)
                answers = entry is not None and entry.state is State.AVAILABLE
                if answers or (even_if_absent and label not in had):
                    now[label] = version
                elif label in had:
                    now[label] = had[label]
            self._labels[name] = now
            if self._answers(name):
                self._required.add(name)

    def labels(self, name: str) -> dict[str, int]:
        """Give the labels of a model that requests may use."""
        with self._lock:
            return dict(self._labels.get(name, {}))

    def withdraw(self, name: str) -> None:
        """Take a model and all its versions out of service."""
        for version in self.versions(name, State.AVAILABLE):
            self.retire(name, version)
        with self._lock:
            self._withdrawn.add(name)
            self._required.discard(name)
            self._labels.pop(name, None)

    def start_loading(self, name: str, version: int) -> None:
        """Note that a version is being loaded."""
        with self._lock:
            self._withdrawn.discard(name)
            entry = self._models.setdefault(name, {})[version] = _Entry()
            entry.state = State.LOADING

    def publish(self, servable: Servable) -> None:
        """Let a version answer requests; those for the newest go to it from now on."""
        with self._lock:
            entry = self._models[servable.name][servable.version]
            entry.servable = servable
            entry.state = State.AVAILABLE

    def fail(self, name: str, version: int, error: ServingError) -> None:
        """Note that a version could not be loaded."""
        with self._lock:
            entry = self._models[name][version]
            entry.state = State.END
            entry.error = error

    def retire(self, name: str, version: int) -> None:
        """Take a version out of service; `reap` frees it when its last request is answered."""
        with self._lock:
            entry = self._models[name][version]
            entry.state = State.UNLOADING
            # Kept apart from the table: the same version may be loaded again meanwhile.
            self._retired.append(entry)

    def reap(self) -> bool:
        """Free the retired versions that nobody uses any more, and tell whether there were any."""
        with self._lock:
            idle = [entry for entry in self._retired if entry.in_flight == 0]
            self._retired = [entry for entry in self._retired if entry.in_flight > 0]
        for entry in idle:
            if entry.servable is not None:
                entry.servable.close()
                entry.servable = None
            entry.state = State.END
        return bool(idle)

    def _enter(self, ref: ModelRef) -> tuple[_Entry, Servable]:
        if not ref.name:
            raise InvalidArgument("ModelSpec has no name specified.")
        with self._lock:
            wanted = self._version_of(ref)
            entries = self._models.get(ref.name, {})
            usable = [
                version
                for version, entry in entries.items()
                if entry.state is State.AVAILABLE and wanted in (None, version)
            ]
            if not usable:
                asked = (
                    f"Latest({ref.name})" if wanted is None else f"Specific({ref.name}, {wanted})"
                )
                raise NotFound(f"Servable not found for request: {asked}")
            entry = entries[max(usable)]
            assert entry.servable is not None  # every AVAILABLE entry went through `publish`
            entry.in_flight += 1
            return entry, entry.servable

    def _answers(self, name: str) -> bool:
        return any(entry.state is State.AVAILABLE for entry in self._models.get(name, {}).values())

    def _version_of(self, ref: ModelRef) -> int | None:
        if not ref.label:
            return ref.version
        version = self._labels.get(ref.name, {}).get(ref.label)
        if version is None:
            raise InvalidArgument(f"Unrecognized servable version label: {ref.label}")
        return version
