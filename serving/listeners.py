"""Take the ports, before anything slow happens.

A port that is taken is then reported at once, and not after TensorFlow was imported and a model
loaded; and what port 0 came to is known before the first request can be answered.
"""

import socket
from typing import Any

import grpc

from serving.config import ServerConfig
from serving.errors import StartError
from serving.tls import read_tls_file
from serving.workers import Workers

_UNLIMITED = -1  # gRPC's default refuses messages over 4 MB, which one picture can be
_ARGUMENTS: dict[str, int | str] = {
    "grpc.max_receive_message_length": _UNLIMITED,
    "grpc.max_send_message_length": _UNLIMITED,
    # Otherwise a second server takes the same port, and each gets half of the requests.
    "grpc.so_reuseport": 0,
    # A connection says HTTP/2 in that time, and answers a ping within a minute. gRPC's own times
    # are two minutes and two hours.
    "grpc.server_handshake_timeout_ms": 20_000,
    "grpc.keepalive_time_ms": 120_000,
    "grpc.keepalive_permit_without_calls": 1,
}


def bind_rest(config: ServerConfig, port: int) -> socket.socket:
    """Take the port of REST.

    Raises:
        StartError: it is taken, or the host is not an address of this machine.
    """
    listener, address = _socket_of(config.host, port)
    # Lets a server that was just stopped be started again; it does not share a port in use.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        # Connections wait here while the application starts; uvicorn sets its own backlog.
        listener.listen()
    except OSError as error:
        listener.close()
        raise _cannot_listen("REST", config.host, port, "--rest_api_port", error) from error
    return listener


def check_host(host: str) -> None:
    """Refuse a host before gRPC does, which does not tell it from a port that is taken.

    Raises:
        StartError: it is no address, or none of this machine.
    """
    probe, address = _socket_of(host, 0)
    with probe:
        try:
            probe.bind(address)
        except OSError as error:
            raise StartError(
                f"--host is {host!r}, which is no address of this machine: {error.strerror}; give "
                "0.0.0.0 for all of its addresses, 127.0.0.1 for none that others reach"
            ) from error


def _socket_of(host: str, port: int) -> tuple[socket.socket, Any]:
    """Make a socket for a host, and the address that it is to be bound to."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:  # UnicodeError: no name of a host
        why = getattr(error, "strerror", None) or error
        raise StartError(
            f"--host is {host!r}, which is no address: {why}; give a name or a number of this "
            "machine, such as 0.0.0.0"
        ) from error
    return socket.socket(family, kind, protocol), address


def bind_grpc(config: ServerConfig, workers: Workers) -> tuple[grpc.Server, int]:
    """Make a gRPC server that has its port, but is not started, and give the port.

    Raises:
        StartError: the port or the socket path is taken, or the host or the keys are none.
    """
    check_host(config.host)
    # Of an argument that is given twice gRPC takes the first.
    arguments = {**_ARGUMENTS, **dict(config.grpc_arguments)}
    server = grpc.server(workers, options=tuple(arguments.items()))
    tls = None if config.grpc_tls_file is None else read_tls_file(config.grpc_tls_file)
    address = show_address(config.host, config.grpc_port)
    try:
        port = (
            server.add_insecure_port(address)
            if tls is None
            else server.add_secure_port(address, tls.for_grpc())
        )
    except RuntimeError as error:
        raise _cannot_listen("gRPC", config.host, config.grpc_port, "--port", error) from error
    if config.grpc_socket_path:
        try:
            server.add_insecure_port(f"unix:{config.grpc_socket_path}")
        except RuntimeError as error:
            raise StartError(
                f"cannot listen on --grpc_socket_path {config.grpc_socket_path}: {error}"
            ) from error
    return server, port


def show_address(host: str, port: int) -> str:
    """Write host and port as one word; IPv6 addresses need brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _cannot_listen(what: str, host: str, port: int, flag: str, error: Exception) -> StartError:
    return StartError(
        f"cannot listen on {show_address(host, port)} for {what} ({error}): stop what uses the "
        f"port, or choose another with {flag}"
    )
