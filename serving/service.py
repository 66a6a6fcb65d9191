"""The BentoML service: workers, lifecycle, health, metrics and packaging around the routes.

Settings are measured: tracing, access log and BentoML's own request metrics (whose labels are raw paths) would cost
two thirds of the throughput; freezing what is there after start takes the long tail away.
"""

import gc
import sys

import bentoml
import structlog
from pydantic_core import to_json
from sqlalchemy import Engine
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from fivefold.domain.errors import FivefoldError, StoreError
from fivefold.domain.settings import read_settings
from fivefold.features.request_body.body import measure_body
from fivefold.serving.access_log import AccessLog
from fivefold.serving.authentication import Gatekeeper
from fivefold.serving.champion.drift_counter import Counter
from fivefold.serving.champion.loader import ModelHolder
from fivefold.serving.error_middleware import Edge
from fivefold.serving.http_protocol import guard, trust_proxies
from fivefold.serving.logs import configure_logs
from fivefold.serving.metrics.platform import PlatformMetrics
from fivefold.serving.metrics.service import Watch
from fivefold.serving.pages import Pages
from fivefold.serving.quota import Ledger
from fivefold.serving.responses import ARRAY, answered, refused
from fivefold.serving.v1.dispatch import PlatformDesk
from fivefold.serving.v1.router import add_platform
from fivefold.serving.v4.app import SCORING, Front, build_app
from fivefold.serving.v4.endpoint import Desk
from fivefold.store.accounts.plans import read_plans
from fivefold.store.sql.database import SchemaNotCurrent, SchemaWatch, bring_forward, open_database
from fivefold.usecases.monitoring.statistics import PlatformFigures

configure_logs()
log = structlog.get_logger("fivefold.service")

SETTINGS = read_settings()
guard(SETTINGS.limits.connections)
trust_proxies(SETTINGS.trusted_proxies)
ANSWER_SECONDS = 10.0
"""So long scoring waits for PostgreSQL at a time; a request may try again within its own limit."""
ENGINE: Engine = open_database(SETTINGS.database, SETTINGS.clock_tolerance_seconds, ANSWER_SECONDS)
PLATFORM: Engine = (  # its statements may take longer, and its connections are no business of scoring's
    ENGINE
    if ENGINE.dialect.name == "sqlite"
    else open_database(SETTINGS.database, SETTINGS.clock_tolerance_seconds, SETTINGS.limits.seconds)
)
HOLDER = ModelHolder(SETTINGS)
LEDGER = Ledger(ENGINE)
ACCESS = AccessLog()
COUNTER = Counter(ENGINE)
WATCH = Watch(HOLDER, COUNTER, PlatformMetrics(PlatformFigures(PLATFORM)))
PLANS = read_plans(SETTINGS.plans_file)
DESK = Desk(SETTINGS, PLANS, HOLDER, Gatekeeper(ENGINE), LEDGER, COUNTER)
APP = build_app(DESK)
add_platform(APP, PlatformDesk(PLATFORM, SETTINGS.limits, HOLDER.valuer, PLANS))
SWITCH_SECONDS = 0.0005
SLACK_SECONDS = 30
"""BentoML's own time limit comes so much later than ours, whose answer is an array."""


class Gate:
    """Puts the edge, and what is asked most, around the whole application once it starts.

    A middleware stands inside of BentoML's own, of which the time limit alone takes a task and a timer of a minute for
    each request.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap *app*."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Move to the outside at the start; every request has come by the edge then."""
        if scope["type"] == "lifespan":
            whole = scope["app"]
            whole.router.redirect_slashes = False  # nobody needs it, and it names whatever host the caller claims
            front = Front(DESK, Pages(whole.middleware_stack, COMPUTED))
            whole.middleware_stack = Edge(front, WATCH, SETTINGS.limits.seconds, ACCESS)
        await self._app(scope, receive, send)


SCHEMA = SchemaWatch(ENGINE)


def readiness() -> Response:
    """Say whether requests can be answered, with which model, and why not with a newer one."""
    problem = _database_problem() or LEDGER.problem()
    served = HOLDER.current
    if problem:
        return refused(503, problem)
    if served is None:
        body = [{"detail": HOLDER.refused, "ready_for": ["/v1"]}]
        return Response(to_json(body), 503, media_type="application/json", headers={ARRAY: "1"})
    state = {"detail": "ready", "model_version": served.version}
    return answered([{**state, "refused": HOLDER.refused} if HOLDER.refused else state])


def _bring_forward() -> None:
    """Bring the database to the schema of this program, whichever command started it.

    Where that fails, the process lives on, is not ready, and says why: the database may only be out of reach for now.
    """
    try:
        bring_forward(SETTINGS.database, SETTINGS.clock_tolerance_seconds)
    except StoreError as error:
        log.error("database not brought forward", problem=str(error))  # noqa: TRY400 (a traceback says no more)
    SCHEMA.look()


def _database_problem() -> str:
    try:
        SCHEMA.require_usable()
    except SchemaNotCurrent as error:
        return str(error)
    except FivefoldError as error:
        return str(error).partition(":")[0]  # without the driver's own words, which name the host and the user
    return ""


def metrics() -> Response:
    """Write the metrics."""
    return Response(WATCH.page(), media_type="text/plain; version=0.0.4; charset=utf-8")


def readiness_of_platform() -> Response:
    """Say whether requests to /v1 can be answered, which need no model."""
    problem = _database_problem()
    return refused(503, problem) if problem else answered([{"detail": "ready"}])


def document() -> Response:
    """Give the contract for machines. It needs no token, so it is written once: the framework writes it each time."""
    return Response(APP.written, media_type="application/json")


COMPUTED = {
    "/openapi.json": document,
    "/readyz": readiness,
    "/readyz/v1": readiness_of_platform,
    "/metrics": metrics,
}


@bentoml.service(
    name="fivefold",
    http={"host": "127.0.0.1"},  # unless `--host` or BENTOML_HOST says otherwise
    traffic={"timeout": SETTINGS.limits.seconds + SLACK_SECONDS},
    tracing={"excluded_urls": SCORING},
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
)
@bentoml.asgi_app(APP, path="/")
class Fivefold:
    """Scores customers, and keeps their levels; see /openapi.json."""

    def __init__(self) -> None:
        """Start what this worker runs; a model that cannot be loaded never ends it."""
        ACCESS.start()
        _bring_forward()
        LEDGER.start()
        COUNTER.start()
        HOLDER.start()
        measure_body(b"[]")  # loads, or compiles, what counts a body before it is read
        document()  # kept from here on: it takes a second, for which requests would wait
        # What is there now stays: the collector need not look at it again, which took the long tail away.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        # The ledger's thread asks for the interpreter after every step of SQLite; at Python's 5 ms it would wait
        # longer for its turns than it works.
        sys.setswitchinterval(SWITCH_SECONDS)

    def __is_ready__(self) -> bool:
        """Tell BentoML."""
        return HOLDER.current is not None

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]  # BentoML ships no types for it
    def close(self) -> None:
        """Finish what was started."""
        HOLDER.stop()
        LEDGER.stop()
        COUNTER.stop()
        ACCESS.stop()
        ENGINE.dispose()
        PLATFORM.dispose()


Fivefold.add_asgi_middleware(Gate)  # type: ignore[attr-defined]  # the decorator made it a BentoML service
