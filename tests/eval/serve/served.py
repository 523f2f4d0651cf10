"""A server in a thread of the test."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette

from eval.serve.process import address_of, bound_socket


@contextmanager
def served_app(app: Starlette) -> Iterator[tuple[str, int]]:
    """Its address and its port."""
    with bound_socket("127.0.0.1", 0) as listener:
        address, port = address_of(listener), listener.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, log_level="error", ws="none"))
        thread = threading.Thread(target=server.run, args=[[listener]])
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield address, port
        finally:
            server.should_exit = True
            thread.join()
