"""Follow the file system: load what is new, retire what is old, keep what cannot be replaced.

One thread at a time does all of it, so that there is one order of events: a version is loaded and
warmed up, then it is published, and only then is the old one retired.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from serving.config import ModelConfig, ServerConfig
from serving.directory import VersionFolder, find_models, find_versions
from serving.errors import (
    Code,
    FailedPrecondition,
    LoadError,
    ModelError,
    ServingError,
    StartError,
)
from serving.memory import collect_graphs
from serving.models_file import read_models_file
from serving.registry import ModelRef, Registry, State
from serving.servable import load_servable
from serving.versions import Failure, Plan, is_settled, plan_versions, should_retry
from serving.warmup import warm_up

# Files that were written just now have to be found unchanged once before they are read.
_POLLS_TO_SETTLE = 3

logger = logging.getLogger(__name__)


class Loader:
    """Keeps a registry in line with the file system, and with what is to be served."""

    def __init__(
        self,
        config: ServerConfig,
        registry: Registry,
        on_models: Callable[[Sequence[ModelConfig]], None] = lambda models: None,
        on_load: Callable[[Path], AbstractContextManager[None]] = lambda path: nullcontext(),
    ) -> None:
        """Read what is to be served.

        Args:
            config: of the server.
            registry: to keep in line.
            on_models: told the models that a file or a reload call asks for.
            on_load: gives what surrounds the loading of a version from a path.

        Raises:
            StartError: the file that says so is wrong.
        """
        self._config = config
        self._registry = registry
        self._on_models, self._on_load = on_models, on_load
        self._seen: dict[str, dict[int, VersionFolder]] = {}
        self._failures: dict[tuple[str, int], Failure] = {}
        self._said: dict[str, str] = {}
        self._away: set[str] = set()
        self._stop = threading.Event()
        self._one_at_a_time = threading.RLock()
        self._models = config.models
        if config.models_file is not None:
            self._models = read_models_file(config.models_file)
            self._file_read_s = time.monotonic()
        self._on_models(self._models)
        for model in self._find_models():
            registry.expect(model.name)

    def run(self) -> None:
        """Look and load until `stop`, every `poll_s` seconds."""
        if self._config.poll_s < 0:
            return
        self._poll_safely()
        while self._config.poll_s > 0 and not self._stop.wait(self._config.poll_s):
            self._poll_safely()
        # Folders that are looked at once may still be asked for by a file that is read again.
        every_s = self._config.models_file_poll_s
        while every_s > 0 and not self._stop.wait(every_s):
            if self._reread_file():
                self._poll_safely()

    def stop(self) -> None:
        """End `run`; a load that has begun is not broken off, the next is not begun."""
        self._stop.set()

    def poll(self) -> None:
        """Look once, and load and retire what has to be."""
        with self._one_at_a_time:
            self._reread_file()
            for model in self._find_models():
                try:
                    on_disk = find_versions(model.base_path)
                except OSError as error:
                    # As if nothing had changed: a file server that is away must not end a service.
                    self._say(model.name, f"Could not find base path {model.base_path}: {error}")
                    self._away.add(model.name)
                    continue
                self._note_presence(model)
                self._follow(model, on_disk)
                self._registry.label(
                    model.name,
                    model.labels,
                    even_if_absent=self._config.allow_labels_of_absent_versions,
                )
            if self._registry.reap():
                collect_graphs()

    def reload(self, models: tuple[ModelConfig, ...]) -> None:
        """Serve these models and no others, and return when the new ones answer.

        Raises:
            FailedPrecondition: the server serves a folder, or a label is for a version that does
                not answer; in the latter case the models are served nevertheless.
            ModelError: a model that is new cannot be loaded.
        """
        if self._config.folder is not None:
            raise FailedPrecondition(
                f"this server serves the folder {self._config.folder}: start it with "
                "--model_config_file or --model_base_path to reload what it serves"
            )
        with self._one_at_a_time:
            known = {model.name for model in self._models}
            new = [model for model in models if model.name not in known]
            self._serve(models)
            for _ in range(_POLLS_TO_SETTLE):
                self.poll()
                if all(self._registry.has_versions(model.name) for model in new):
                    break
                self._stop.wait(max(0.0, self._config.poll_s))
            self._check_reloaded(models, new)

    def _serve(self, models: tuple[ModelConfig, ...]) -> None:
        """Put other models in the place of those so far; the next poll loads them."""
        before = {model.name: model for model in self._models}
        now = {model.name: model for model in models}
        for name, model in before.items():
            has_moved = name in now and now[name].base_path != model.base_path
            if name not in now or has_moved:
                logger.info("%s is withdrawn from %s", name, model.base_path)
                self._registry.withdraw(name)
                self._seen.pop(name, None)
                self._forget_failures(name)
        self._models = models
        self._on_models(models)

    def _check_reloaded(self, models: Sequence[ModelConfig], new: Sequence[ModelConfig]) -> None:
        for model in new:
            if not self._registry.versions(model.name, State.AVAILABLE):
                raise ModelError(Code.UNKNOWN, self._why_not(model))
        for model in models:
            labels = self._registry.labels(model.name)
            for label, version in model.labels.items():
                if labels.get(label) != version:
                    raise FailedPrecondition(
                        f"Request to assign label {label} to version {version} of model "
                        f"{model.name}, which is not currently available for inference"
                    )

    def _why_not(self, model: ModelConfig) -> str:
        if not self._registry.has_versions(model.name):
            return self._said.get(model.name, f"no version of {model.name} is there yet")
        (newest, *_) = self._registry.statuses(ModelRef(name=model.name))
        reason = "it is still being loaded" if newest.error is None else newest.error.message
        return (
            f"1 servable(s) did not become available: {{{{name: {model.name} version: "
            f"{newest.version}}} due to error: {reason}}}"
        )

    def _reread_file(self) -> bool:
        """Take over what the file of models says now, if it is time; tell whether that is new."""
        path, every_s = self._config.models_file, self._config.models_file_poll_s
        if path is None or not every_s or time.monotonic() - self._file_read_s < every_s:
            return False
        self._file_read_s = time.monotonic()
        try:
            models = read_models_file(path)
        except StartError as error:
            self._say(str(path), f"{error.message}; what was served before is served on")
            return False
        self._said.pop(str(path), None)
        if models == self._models:
            return False
        logger.info("%s has changed", path)
        with self._one_at_a_time:
            self._serve(models)
        return True

    def _poll_safely(self) -> None:
        try:
            self.poll()
        except Exception:
            logger.exception("unforeseen error while looking for versions")

    def _find_models(self) -> Iterable[ModelConfig]:
        if self._config.folder is None:
            return self._models
        try:
            found = find_models(self._config.folder)
        except (OSError, ServingError) as error:
            self._say("", f"cannot look through {self._config.folder}: {error}")
            return ()
        # One that is empty now is not found any more, and has to be withdrawn.
        known = {model.name: model for model in (*self._models, *found)}
        self._models = tuple(known.values())
        if known:
            self._said.pop("", None)
        else:
            self._say("", f"{self._config.folder} is empty: waiting for a model to serve")
        return self._models

    def _note_presence(self, model: ModelConfig) -> None:
        if model.name in self._away:
            self._away.discard(model.name)
            self._said.pop(model.name, None)
            logger.info("base path %s is there", model.base_path)

    def _follow(self, model: ModelConfig, on_disk: dict[int, VersionFolder]) -> None:
        previous = self._seen.get(model.name, {})
        self._seen[model.name] = on_disk
        self._forget_failures(model.name, on_disk)
        if not on_disk:
            self._say(
                model.name,
                f"No versions of servable {model.name} found under base path {model.base_path}. "
                "Did you forget to name your leaf directory as a number (eg. '/1/')?",
            )
            if self._config.folder is not None and self._registry.versions(
                model.name, State.AVAILABLE
            ):
                self._registry.withdraw(model.name)  # the server is ready for the others
        elif missing := (model.policy.versions or frozenset()) - on_disk.keys():
            self._say(
                model.name,
                f"Version {', '.join(map(str, sorted(missing)))} of servable {model.name}, "
                "requested for serving by its model_version_policy, is not found under "
                f"{model.base_path}",
            )
        tried: set[int] = set()
        # Planned anew after each load: where the newest fails, another one may have to stand in.
        while not self._stop.is_set():
            untried = set(self._plan(model, on_disk).load) - tried
            if not untried:
                break
            version = max(untried)
            tried.add(version)
            if self._is_due(model.name, version, on_disk[version], previous.get(version)):
                self._load(model.name, version, on_disk[version])
        for version in self._plan(model, on_disk).retire:
            logger.info("retiring %s version %d", model.name, version)
            self._registry.retire(model.name, version)

    def _plan(self, model: ModelConfig, on_disk: dict[int, VersionFolder]) -> Plan:
        failed = {version for name, version in self._failures if name == model.name}
        available = self._registry.versions(model.name, State.AVAILABLE)
        return plan_versions(model.policy, on_disk, available, failed)

    def _forget_failures(self, name: str, on_disk: Collection[int] = ()) -> None:
        self._failures = {
            (model, version): failure
            for (model, version), failure in self._failures.items()
            if model != name or version in on_disk
        }

    def _is_due(
        self, name: str, version: int, folder: VersionFolder, previous: VersionFolder | None
    ) -> bool:
        # Where there is only one look, there is no later one to wait for.
        if self._config.poll_s > 0 and not is_settled(
            folder, previous, time.time(), self._config.poll_s
        ):
            return False
        failure = self._failures.get((name, version))
        return failure is None or should_retry(
            failure,
            folder,
            time.monotonic(),
            max_retries=self._config.max_load_retries,
            retry_s=self._config.load_retry_s,
        )

    def _load(self, name: str, version: int, folder: VersionFolder) -> None:
        logger.info("loading %s version %d from %s", name, version, folder.path)
        started_s = time.monotonic()
        self._registry.start_loading(name, version)
        try:
            with self._on_load(folder.path):
                servable = load_servable(name, version, folder.path, self._config.load)
            if self._config.load.warm_up:
                warm_up(servable, folder.path, self._config.load.warmup_iterations)
        except ServingError as error:
            self._note_failure(name, version, folder, error)
        except Exception as error:
            logger.exception("unforeseen error while loading %s version %d", name, version)
            self._note_failure(name, version, folder, LoadError(Code.INTERNAL, repr(error)))
        else:
            self._failures.pop((name, version), None)
            self._registry.publish(servable)
            self._said.pop(name, None)
            logger.info(
                "%s version %d is available after %.1f s",
                name,
                version,
                time.monotonic() - started_s,
            )

    def _note_failure(
        self, name: str, version: int, folder: VersionFolder, error: ServingError
    ) -> None:
        earlier = self._failures.get((name, version))
        same_files = earlier is not None and earlier.contents == folder.contents
        attempts = earlier.attempts + 1 if earlier is not None and same_files else 1
        self._failures[name, version] = Failure(attempts, time.monotonic(), folder.contents)
        # Kept for the status; these would keep the graph that was being loaded.
        error.__traceback__ = error.__cause__ = error.__context__ = None
        self._registry.fail(name, version, error)
        collect_graphs()
        left = self._config.max_load_retries + 1 - attempts
        logger.error(
            "%s version %d cannot be served: %s; %s",
            name,
            version,
            error.message,
            f"next try in {self._config.load_retry_s:g} s or when its files change"
            if left > 0
            else "next try when its files change",
        )

    def _say(self, topic: str, message: str) -> None:
        # Once, not once a poll.
        if self._said.get(topic) != message:
            self._said[topic] = message
            logger.warning("%s", message)
