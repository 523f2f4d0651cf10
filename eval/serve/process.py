"""The process of a server: its address, and an end that no request notices."""

import errno
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette

from model.errors import InputError, first_line
from model.terminal import say

GRACE = 60
"""Seconds that requests in flight may take after a signal to stop."""


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket that is bound to an address, and that nobody can connect to yet.

    Raises:
        InputError: the address is not here, taken, or not allowed.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise InputError(f"--host {host} is no address: {first_line(error)}") from None
    found = socket.socket(family, socket.SOCK_STREAM)
    # Else a port stays taken for a minute after a server has ended.
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind(address)
    except OSError as error:
        found.close()
        if error.errno == errno.EADDRINUSE:
            raise InputError(
                f"--port {port} is taken at {host}: give another one, or 0 for any that is free"
            ) from None
        if error.errno == errno.EADDRNOTAVAIL:
            raise InputError(f"--host {host} is no address of this machine") from None
        raise InputError(f"{host}, port {port}, cannot be used: {first_line(error)}") from None
    return found


def run_server(app: Starlette, listener: socket.socket) -> int:
    """Answers requests until SIGTERM or Ctrl-C; returns how many there were.

    Requests in flight are answered before the end, those that are still being sent too.
    """
    config = uvicorn.Config(
        app,
        http="h11",
        loop="asyncio",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )
    server = _Server(config)
    server.run([listener])
    return server.server_state.total_requests


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        [listener] = sockets or []
        try:
            await super().startup(sockets)
        except OSError as error:  # another one was bound to it, too, and listens since
            raise InputError(f"{address_of(listener)} was taken meanwhile: {error}") from None
        say(f"ready: {address_of(listener)}")

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals end the server, and nothing else: uvicorn would raise them again behind it."""
        before = {
            number: signal.signal(number, self.handle_exit)
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def address_of(listener: socket.socket) -> str:
    """The address in a form for browsers."""
    host, port, *_ = listener.getsockname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
