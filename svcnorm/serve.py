"""A service over HTTP for those who are not in Python (docs/service.md): `svcnorm serve`, or `create_app` for a server of one's own.

Texts of concurrent requests go through the model together. No text is logged, and no error repeats one. Needs the extra `[serve]`.
"""

# No `from __future__ import annotations`: FastAPI reads the annotations of models that are made inside a function, with the limits in them.
import asyncio
import logging
import math
import signal
import socket
import sys
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from svcnorm import __version__, calls
from svcnorm.batches import Batches, Failed, Full
from svcnorm.classifier import Classifier
from svcnorm.errors import DataError, MissingExtraError
from svcnorm.labels import digest
from svcnorm.terminal import to_json

try:
    import uvicorn
    from fastapi import FastAPI, Request, Response
    from fastapi.exceptions import RequestValidationError
    from pydantic import AliasChoices, BaseModel, BeforeValidator, Field

    from svcnorm import schema
except ImportError:
    raise MissingExtraError("the service needs FastAPI and uvicorn; install svcnorm[serve] (Python 3.11 or later)") from None

log = logging.getLogger(__name__)
DRAIN = 0.3  # seconds in which open connections may still bring a request when the server stops
EXAMPLE = "不好意思，这个不归我们管，您找物业吧"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server takes on; the command line has the defaults."""

    max_wait_ms: float
    """A text waits at most so long for others to share its batch."""
    max_batch: int
    """Texts that are labelled together."""
    max_queue: int
    """Texts that are accepted and not answered; beyond it requests get 503. An idle server takes any one request."""
    max_body: int
    """Bytes of a request's body."""
    max_chars: int
    """Characters of a text."""
    max_texts: int
    """Texts of a request, or turns of a call."""
    timeout: float
    """Seconds from a request's headers to its answer."""


class Deadline:
    """Answers 503 if a request, its body included, has no answer in time; one that has begun is not cut off.

    A server that stops closes each connection behind its answer.
    """

    def __init__(self, app: Any, seconds: float):
        self.app, self.seconds = app, seconds

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        try:
            async with asyncio.timeout(self.seconds) as limit:

                async def sent(message: Any) -> None:
                    limit.reschedule(None)
                    if scope["app"].state.stopping and message["type"] == "http.response.start":
                        message["headers"].append((b"connection", b"close"))
                    await send(message)

                await self.app(scope, receive, sent)
        except TimeoutError:
            late = _problem(503, f"no answer within {self.seconds:g} s; send less at once, or try again later")
            await late(scope, receive, send)


def create_app(classifier: Classifier, limits: Limits, workers: int = 1) -> FastAPI:
    """The ASGI application. `workers`: batches that are labelled side by side; with more than one, a classifier of one thread is fastest."""
    batches = Batches(classifier, max_wait=limits.max_wait_ms / 1000, max_batch=limits.max_batch, max_open=limits.max_queue)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(batches.work()) for _ in range(workers)]
        yield
        for task in tasks:
            task.cancel()

    class PredictRequest(BaseModel):
        text: str = Field(max_length=limits.max_chars, examples=[EXAMPLE])
        split: bool = Field(True, description="Whether to cut the text into sentences; false takes it as one.")

    class PredictManyRequest(BaseModel):
        texts: list[Annotated[str, Field(max_length=limits.max_chars)]] = Field(
            max_length=limits.max_texts, examples=[[EXAMPLE, "请您稍等"]]
        )
        split: bool = True

    class Turn(BaseModel):
        role: Annotated[calls.Role, BeforeValidator(lambda x: calls.ROLE_WORDS.get(x, x) if isinstance(x, str) else x)] = Field(
            validation_alias=AliasChoices(*calls.ROLE_KEYS), examples=["agent"], description="Or 坐席, 客服, 客户, 用户, 未知."
        )
        text: str = Field(max_length=limits.max_chars, examples=[EXAMPLE])

    class CallRequest(BaseModel):
        call_id: str = Field("", coerce_numbers_to_str=True, validation_alias=AliasChoices(*calls.CALL_KEYS), examples=["c-17"])
        turns: list[Turn] = Field(max_length=limits.max_texts)

    app = FastAPI(
        title="svcnorm", version=__version__, lifespan=lifespan, max_body_size=limits.max_body, docs_url=None, redoc_url=None,
        description="Labels what call-centre agents say in Chinese, sentence by sentence, and judges it by a service norm.",
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},  # it keeps bodies and messages of errors
    )  # fmt: skip
    app.state.stopping = False
    app.add_middleware(Deadline, seconds=limits.timeout)
    refused: Any = {
        413: {"description": f"The body has more than {limits.max_body} bytes."},
        422: {"description": "The body is not as it should be.", "model": schema.Problem},
        503: {"description": "No room, or no answer in time: try again later.", "model": schema.Problem},
    }
    shown: Any = {200: {"content": {"application/json": {"example": classifier.predict(EXAMPLE).to_dict()}}}}  # and the model is warm

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        found = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:10]]
        if "json" not in request.headers.get("content-type", ""):
            found = ["the body must be JSON, under the header Content-Type: application/json"]
        return _problem(422, "; ".join(found))

    @app.exception_handler(Full)
    async def full(_: Request, __: Full) -> Response:
        return _problem(503, "too many texts are waiting; try again later")

    @app.exception_handler(Failed)
    async def failed(_: Request, __: Failed) -> Response:
        return _problem(500, "a text could not be labelled; the server's log says where")

    @app.post("/predict", response_model=schema.Prediction, responses={**shown, **refused})
    async def predict(body: PredictRequest) -> Response:
        """The labelled sentences of one text."""
        (found,) = await batches.label([body.text], split=body.split)
        return _json(found.to_dict())

    @app.post("/predict_many", response_model=schema.Predictions, responses=refused)
    async def predict_many(body: PredictManyRequest) -> Response:
        """The same for many texts, in their order."""
        return _json({"predictions": [p.to_dict() for p in await batches.label(body.texts, split=body.split)]})

    @app.post("/audit", response_model=schema.CallAudit, responses=refused)
    async def audit(body: CallRequest) -> Response:
        """A whole call: the agent's turns labelled, and the steps that the norm requires."""
        call = calls.Call(body.call_id, tuple(calls.Turn(t.role, t.text) for t in body.turns))
        predictions = await batches.label([t.text for t in call.turns if t.role != "customer"])
        return _json((await asyncio.to_thread(calls.audit, call, classifier, predictions)).to_dict())

    @app.get("/health", response_model=schema.Health, responses={503: {"model": schema.Health, "description": "not ready"}})
    async def health() -> Response:
        """Whether the server runs, and whether it takes requests."""
        ready = batches.open < limits.max_queue
        return _json({"live": True, "ready": ready, "open": batches.open}, 200 if ready else 503)

    @app.get("/version", response_model=schema.Version)
    async def version() -> Response:
        """What answers here."""
        norm = classifier.norm
        return _json(
            {"svcnorm": __version__, "model": classifier.model, "norm": norm.name, "norm_version": norm.version, "labels_digest": digest()}
        )

    return app


def _json(value: Any, status: int = 200) -> Response:
    return Response(to_json(value), status, {"Retry-After": "1"} if status == 503 else None, media_type="application/json")


def _problem(status: int, detail: str) -> Response:
    return _json({"detail": detail}, status)


class NoMessage(logging.Formatter):
    """Leaves out of a traceback what the exception says: it may hold a text."""

    def formatException(self, ei: Any) -> str:
        return "".join(traceback.format_tb(ei[2])) + ei[0].__name__


LOGGING: Any = {
    "version": 1, "disable_existing_loggers": False, "root": {"handlers": ["stderr"], "level": "INFO"},
    "formatters": {"line": {"()": NoMessage, "fmt": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
}  # fmt: skip


class Server(uvicorn.Server):
    """Serves the connections that were made before it stops: uvicorn resets what waits to be accepted, or has its request on the way."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.config.app.state.stopping = True
        made = []
        for listener in sockets or ():
            with suppress(BlockingIOError):
                while True:
                    made.append(listener.accept()[0])
        for listening in self.servers:
            listening.close()
        protocol = partial(self.config.http_protocol_class, self.config, self.server_state, self.lifespan.state)
        for connection in made:
            await asyncio.get_running_loop().connect_accepted_socket(protocol, connection)
        await asyncio.sleep(DRAIN)
        await super().shutdown(sockets)


def serve(classifier: Classifier, host: str, port: int, limits: Limits, workers: int = 1) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is accepted and exit with 0. `port` 0 takes a free one; the log says which.

    Raises `DataError` if the address cannot be had.
    """
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048)
        listener.setblocking(False)
    except OSError as e:
        raise DataError(f"{host}:{port} cannot be listened at: {e.strerror or e}; choose another --host or --port") from None
    config = uvicorn.Config(
        create_app(classifier, limits, workers), log_config=LOGGING, access_log=False, lifespan="on", ws="none", proxy_headers=False,
        server_header=False, timeout_graceful_shutdown=math.ceil(limits.timeout) + 1,
    )  # fmt: skip
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises the signal again when it has stopped
        signal.signal(number, lambda *_: sys.exit(0))
    sys.setswitchinterval(0.0005)  # who comes back from the network, or has a request to read, waits no longer for another's rules
    log.info("http://%s:%d  model: %s  norm: %s", host, listener.getsockname()[1], classifier.model, classifier.norm.name)
    Server(config).run(sockets=[listener])
