"""A process that reads and writes large JSON, so that other requests go on meanwhile.

Receives a function with its arguments and gives its result. The process knows no TensorFlow,
starts with the first thing to do, and ends with the server.

    server ── pickled (function, arguments) ──▶ stdin    stdout ── pickled (result or error) ──▶
"""

import logging
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

from serving.errors import Code, ModelError, Overloaded, ServingError
from serving.memory import give_back

_MOST_WAIT_S = 30.0  # for a turn


class JsonProcess:
    """A process that does one thing at a time; threads wait for their turn."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()

    def do(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a function of a module, in the process.

        Returns:
            What it returns.

        Raises:
            ServingError: as the function raises.
            Overloaded: others take too long, or the process has ended, as for want of memory.
        """
        if not self._turn.acquire(timeout=_MOST_WAIT_S):
            raise Overloaded("other large JSON is being read and written: try again later")
        try:
            try:
                streams = self._streams()
                # Straight into the pipe: other threads run whenever a piece is on its way.
                pickle.dump((function, arguments), streams.stdin, pickle.HIGHEST_PROTOCOL)
                streams.stdin.flush()
                good, result = pickle.load(streams.stdout)
            except (OSError, EOFError, pickle.UnpicklingError) as error:
                self._end()
                raise Overloaded(
                    "the process that reads and writes large JSON has ended: try again, or send "
                    "less at once"
                ) from error
            except BaseException:
                self._end()  # half of something may be in its pipes
                raise
        finally:
            self._turn.release()
        if not good:
            raise result
        return result

    def close(self) -> None:
        """End the process, and what it is doing."""
        self._end()

    def _streams(self) -> Any:
        if self._process is None:
            words = [sys.executable, "-c", f"from {__name__} import work; work()"]
            self._process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            )
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


def work() -> None:
    """Do what comes in by stdin until it ends, which is when the server does."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            function, arguments = pickle.load(requests)
        except EOFError:
            return
        try:
            answer: tuple[bool, Any] = True, function(*arguments)
        except ServingError as error:
            answer = False, error
        except MemoryError:
            answer = False, Overloaded("there is not enough memory for this request")
        except Exception as error:
            logging.getLogger(__name__).exception("unforeseen error in large JSON")
            answer = False, ModelError(Code.INTERNAL, f"internal error: {error!r}")
        pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()
        del function, arguments, answer
        give_back()
