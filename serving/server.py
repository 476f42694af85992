"""Start the server, keep it up, and end it without losing a request.

The order of starting: check the command line and the paths, take the ports, import TensorFlow,
answer health, load. The order of ending: not ready any more, finish what is being answered, close.
"""

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any

from serving.access_log import AccessLog
from serving.check import check_config, check_paths
from serving.config import ServerConfig
from serving.drain import Drain
from serving.errors import StartError
from serving.flags import parse_command_line
from serving.listeners import bind_grpc, bind_rest, show_address
from serving.memory import Trimmer, keep_imported
from serving.open_files import raise_limit
from serving.startup_noise import without_startup_noise
from serving.tls import read_tls_file
from serving.workers import Workers

if TYPE_CHECKING:
    from serving.health import Health

logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and give the exit code: 0 ended as asked, 1 failure, 2 usage.

    Args:
        argv: the words after the program's name; None takes those of the process.
    """
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    try:
        command = parse_command_line(sys.argv[1:] if argv is None else argv)
        if command.config is None:
            _print_versions()
            return 0
        for flag in command.without_effect:
            logger.warning("--%s has no effect here", flag)
        if command.only_checks:
            for line in check_config(command.config):
                sys.stdout.write(f"{line}\n")
            return 0
        return serve(command.config)
    except StartError as error:
        sys.stderr.write(f"error: {error.message}\n")
        return error.exit_code


def serve(config: ServerConfig) -> int:
    """Serve until SIGTERM or SIGINT; the addresses go to stdout once every model answers.

    Must run in the main thread, where Python handles signals. A second signal ends the process
    at once.

    Returns:
        0 where every request was answered, 1 where some took longer than the grace period.

    Raises:
        StartError: a path is missing or holds no versions, or a port is taken.
    """
    check_paths(config)
    server = Server(config)
    stop = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    earlier = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        server.start()
        announced, trimmer = False, Trimmer()
        # The main thread has to wake up now and then to run the signal handler.
        while not stop.wait(0.1):
            server.update_health()
            trimmer.trim()
            if not announced and server.is_ready():
                server.announce()
                announced = True
        return server.stop()
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


class Server:
    """One server: its ports, its threads and its models."""

    def __init__(self, config: ServerConfig) -> None:
        """Take the ports.

        Raises:
            StartError: a port is taken.
        """
        self._config = config
        self._drain = Drain()
        self._most_files = raise_limit()
        self._access_log = AccessLog(config.access_log) if config.access_log else None
        self._grpc_workers = Workers(config.grpc_threads, config.max_waiting, "grpc")
        self._grpc, self._grpc_port = bind_grpc(config, self._grpc_workers)
        self._rest_socket = (
            None if config.rest_port is None else bind_rest(config, config.rest_port)
        )
        tls = None if config.rest_tls_file is None else read_tls_file(config.rest_tls_file)
        self._rest_tls = None if tls is None else tls.for_rest()
        self._health: Health | None = None
        self._workers = Workers(config.rest_threads, config.max_waiting, "rest")

    def start(self) -> None:
        """Answer from now on, first that there is no model yet, and begin to load."""
        _set_up_tensorflow()
        # Here, because it takes TensorFlow 8 s to be imported, and wrong flags and taken ports
        # are to be reported before.
        from grpc_reflection.v1alpha import reflection

        from serving.grpc_service import SERVICE_NAMES, build_handlers
        from serving.health import Health
        from serving.json_requests import JsonRequests
        from serving.loader import Loader
        from serving.metrics import Metrics
        from serving.registry import Registry
        from serving.request_log import RequestLogs

        self._registry = Registry()
        self._json = JsonRequests(self._config.rest_most_json_depth)
        self._logs = RequestLogs(self._config.request_log)
        pools = {"GRPC": self._grpc_workers, "REST": self._workers}
        metrics = Metrics(
            self._registry, {name: partial(_waiting, pool) for name, pool in pools.items()}
        )
        self._loader = Loader(self._config, self._registry, self._logs.update, metrics.load)
        self._grpc.add_generic_rpc_handlers(
            build_handlers(
                self._registry,
                self._loader,
                metrics,
                self._drain,
                self._logs,
                self._access_log,
                as_tensor_content=self._config.outputs_as_tensor_content,
            )
        )
        if self._config.has_health_service:
            self._health = Health()
            self._health.add_to(self._grpc)
        reflection.enable_server_reflection((*SERVICE_NAMES, reflection.SERVICE_NAME), self._grpc)
        self._grpc.start()
        if self._rest_socket is not None:
            self._start_rest(self._rest_socket, metrics)
        keep_imported()
        logger.info("listening: %s", ", ".join(self._addresses()))
        # Daemons: a load that hangs must not keep the process from ending.
        self._loading = threading.Thread(target=self._loader.run, name="loader", daemon=True)
        self._loading.start()

    def is_ready(self) -> bool:
        """Tell whether every model has a version that answers."""
        return self._registry.is_ready()

    def update_health(self) -> None:
        """Tell the health service, where there is one, whether the server is ready."""
        if self._health is not None:
            is_serving = self._registry.is_ready() and not self._drain.is_draining
            self._health.update(is_serving=is_serving)

    def announce(self) -> None:
        """Print the addresses on stdout, one a line."""
        sys.stdout.write("".join(f"{address}\n" for address in self._addresses()))
        sys.stdout.flush()

    def stop(self) -> int:
        """Finish the requests that are being answered, then end; give the exit code."""
        deadline_s = time.monotonic() + self._config.shutdown_grace_s
        logger.info("ending: requests have %g s to finish", self._config.shutdown_grace_s)
        self._drain.begin()
        self.update_health()
        self._loader.stop()
        # Requests are let in for a while: who sends them may not have asked for readiness yet.
        self._drain.wait_idle(self._config.shutdown_grace_s / 2)
        if self._rest_socket is not None:
            self._uvicorn.should_exit = True
        left_s = max(0.0, deadline_s - time.monotonic())
        self._grpc.stop(left_s).wait(left_s + 1)
        finished = self._drain.wait_idle(max(0.0, deadline_s - time.monotonic()))
        if self._rest_socket is not None:
            finished = self._wait_until_sent(deadline_s) and finished
            self._rest_thread.join(timeout=1)
        self._json.close()
        self._logs.close()
        if self._access_log is not None:
            self._access_log.close()
        if not finished:
            logger.error(
                "ended with requests unanswered after %g s; raise --shutdown_grace_seconds",
                self._config.shutdown_grace_s,
            )
        if not finished or self._loading.is_alive():
            # Threads inside TensorFlow cannot be ended, and the interpreter would wait for them.
            _flush()
            os._exit(0 if finished else 1)
        self._workers.shutdown()
        return 0

    def _start_rest(self, listener: socket.socket, metrics: Any) -> None:
        import uvicorn
        import uvloop

        from serving.connections import Connection, Seldom, most_connections
        from serving.rest import RestApi

        api = RestApi(
            self._registry,
            metrics,
            self._drain,
            self._logs,
            self._access_log,
            self._workers,
            self._json,
            timeout_ms=self._config.rest_timeout_ms,
            most_bytes=self._config.rest_most_bytes,
            read_s=self._config.rest_read_s,
            allow_cors=self._config.allow_cors,
            metrics_path=self._config.metrics_path,
        )
        config = uvicorn.Config(
            api.build(),
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            ws="none",
        )
        config.load()
        config.ssl = self._rest_tls  # which it would read from files of its own
        connection: Any = partial(
            Connection,
            most=most_connections(self._config.rest_most_connections, self._most_files),
            most_head_bytes=self._config.rest_most_head_bytes,
            patience_s=self._config.rest_read_s,
        )
        config.http_protocol_class = connection
        logging.getLogger("uvicorn.error").addFilter(Seldom())  # each bad request is a line
        self._uvicorn = uvicorn.Server(config)

        self._rest_thread = threading.Thread(
            target=lambda: uvloop.run(self._uvicorn.serve(sockets=[listener])),
            name="rest",
            daemon=True,
        )
        self._rest_thread.start()

    def _wait_until_sent(self, deadline_s: float) -> bool:
        """Wait until REST's clients have their answers; False where they are too slow."""

        def is_sending() -> bool:
            connections = list(self._uvicorn.server_state.connections)
            transports = [one.transport for one in connections if one.transport is not None]
            return any(one.get_write_buffer_size() > 0 for one in transports)

        while is_sending():
            if time.monotonic() > deadline_s:
                return False
            time.sleep(0.05)
        return True

    def _addresses(self) -> list[str]:
        addresses = [f"gRPC  {show_address(self._config.host, self._grpc_port)}"]
        if self._rest_socket is not None:
            port = self._rest_socket.getsockname()[1]
            scheme = "http" if self._rest_tls is None else "https"
            addresses.insert(0, f"REST  {scheme}://{show_address(self._config.host, port)}")
        return addresses


def _waiting(pool: Workers) -> int:
    return pool.waiting


def _set_up_tensorflow() -> None:
    # Read when TensorFlow is imported; what a user has set stays.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Each model has threads of its own, as many as it is loaded with.
    os.environ.setdefault("TF_OVERRIDE_GLOBAL_THREADPOOL", "1")
    with without_startup_noise():
        import tensorflow as tf

    # The loader of sessions warns that it is deprecated at its first use.
    tf.get_logger().setLevel(logging.ERROR)


def _print_versions() -> None:
    from importlib.metadata import version

    # Two lines, as tensorflow_model_server prints them.
    sys.stdout.write(f"TensorFlow ModelServer: {version('tl-serving')}\n")
    sys.stdout.write(f"TensorFlow Library: {version('tensorflow')}\n")


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
