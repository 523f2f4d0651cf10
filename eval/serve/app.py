"""The addresses of a server: those of a model's abilities, and those that tell about it."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from data.clock import seconds_since
from eval.serve.ability import FIELDS, Ability
from eval.serve.batches import Batcher, ClientGoneError
from eval.serve.metrics import ServerMetrics
from eval.serve.query import FIELD_TYPES, RefusedError, RequestLimits, read_body, read_query
from model.errors import InputError

PAGE = Path(__file__).with_name("page.html")
# The page needs nothing from elsewhere, and no browser is to fetch it for a text in it.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'"
)
GONE = 499
"""The status, in the metrics only, of requests whose clients have left."""
Handler = Callable[[Request], Awaitable[Response]]

logger = logging.getLogger(__name__)


def make_app(
    abilities: Sequence[Ability],
    facts: Mapping[str, Any],
    limits: RequestLimits,
    most_waiting: int,
) -> Starlette:
    """The server as an ASGI application.

    Args:
        abilities: of the model, each an address.
        facts: about the model, for /model.
        limits: of a request.
        most_waiting: texts that may wait.
    """
    metrics = ServerMetrics()
    batcher = Batcher(most_waiting, metrics.batch)
    metrics.watch(lambda: batcher.waiting)
    about = {**facts, "endpoints": list(map(_about, abilities)), "limits": _limits(limits)}

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        work = asyncio.create_task(batcher.work())
        yield
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work

    async def page(_: Request) -> Response:
        headers = {"content-security-policy": POLICY}
        return HTMLResponse(PAGE.read_text("utf-8"), headers=headers)

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ready"})

    async def model(_: Request) -> Response:
        return JSONResponse(about)

    async def numbers(_: Request) -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    async def nowhere(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        path, own = request.url.path, ", ".join(f"/{each.name}" for each in abilities)
        if error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "")
            message = f"{path} is no address for {request.method}: send {allowed}"
        else:
            message = (
                f"there is no {path} here: POST to {own}, or GET /, /model, /health or /metrics"
            )
        return JSONResponse({"error": message}, error.status_code, error.headers)

    return Starlette(
        routes=[
            Route("/", page),
            Route("/health", health),
            Route("/model", model),
            Route("/metrics", numbers),
            *(
                Route(f"/{each.name}", _handler(each, batcher, limits, metrics), methods=["POST"])
                for each in abilities
            ),
        ],
        exception_handlers={HTTPException: nowhere},
        lifespan=lifespan,
    )


def _handler(
    ability: Ability, batcher: Batcher, limits: RequestLimits, metrics: ServerMetrics
) -> Handler:
    async def reply(request: Request) -> Response:
        body = await read_body(request.stream(), request.headers, limits)
        query = read_query(body, ability, limits)
        found = await batcher.ask(ability, query, request.is_disconnected)
        return JSONResponse(found._asdict())

    async def handle(request: Request) -> Response:
        start = time.perf_counter()
        try:
            response = await reply(request)
        except (ClientDisconnect, ClientGoneError):
            response = Response(status_code=GONE)
        except RefusedError as error:
            # The rest of a body that was too large or too slow is not waited for.
            headers = {429: {"retry-after": "1"}}.get(error.status, {"connection": "close"})
            response = JSONResponse({"error": str(error)}, error.status, headers)
        except InputError as error:
            response = JSONResponse({"error": str(error)}, 400)
        except Exception:
            logger.exception("/%s failed", ability.name)
            message = "the model failed on this request: the server's log says why"
            response = JSONResponse({"error": message}, 500)
        metrics.request(ability.name, response.status_code, seconds_since(start))
        return response

    return handle


def _about(ability: Ability) -> dict[str, Any]:
    return {
        "path": f"/{ability.name}",
        "of": ability.noun,
        "needs": ["texts", *ability.needs],
        "fields": {
            "texts": FIELD_TYPES[list],
            **{name: FIELD_TYPES[FIELDS[name]] for name in ability.fields},
        },
    }


def _limits(limits: RequestLimits) -> dict[str, int]:
    return {"bytes": limits.body, "texts": limits.texts, "characters": limits.characters}
