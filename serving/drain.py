"""Know when the last request is answered, so that the server may end."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Drain:
    """Counts the requests that are being answered; safe to use from several threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._n_requests = 0
        self._draining = False

    @property
    def is_draining(self) -> bool:
        """Whether the server has been told to end: it is not ready for more."""
        return self._draining

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count a request while the block runs."""
        with self._changed:
            self._n_requests += 1
        try:
            yield
        finally:
            with self._changed:
                self._n_requests -= 1
                self._changed.notify_all()

    def begin(self) -> None:
        """Let readiness end. Requests are still answered: some are already on their way."""
        self._draining = True

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until no request is being answered; False where `timeout_s` was too short."""
        with self._changed:
            return self._changed.wait_for(lambda: self._n_requests == 0, timeout_s)
