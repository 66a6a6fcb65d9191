"""The BentoML service: workers, lifecycle, health, metrics and packaging around the routes.

Settings are measured: tracing, access log and BentoML's own request metrics (whose labels are raw paths) would cost
two thirds of the throughput; freezing the objects that exist after start removes the long tail of latencies.
"""

import fivefold.serving.first  # noqa: F401 (only imported, before what it spares)

# isort: split
import os
import re
import sys
from collections.abc import Iterable
from functools import cache

import bentoml
import structlog
from pydantic_core import to_json
from sqlalchemy import Engine
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from fivefold.domain.errors import FivefoldError, StoreError
from fivefold.domain.settings import read_settings
from fivefold.features.reading.request_body import measure_body
from fivefold.flows.groups.language import Group
from fivefold.flows.language import Flow
from fivefold.models.registry import Registry
from fivefold.risk.language.policy import Policy
from fivefold.risk.language.ruleset import Ruleset
from fivefold.serving.access_log import AccessLog
from fivefold.serving.authentication import Authenticator
from fivefold.serving.champion.drift_counter import DriftCounter
from fivefold.serving.champion.loader import ChampionLoader
from fivefold.serving.console import Console, add_console
from fivefold.serving.error_middleware import ErrorMiddleware
from fivefold.serving.http_protocol import guard, trust_proxies
from fivefold.serving.logs import configure_logs
from fivefold.serving.mcp.endpoint import McpEndpoint, add_mcp
from fivefold.serving.metrics import NOT_SHARED
from fivefold.serving.metrics.platform import PlatformMetrics
from fivefold.serving.metrics.service import ServiceMetrics
from fivefold.serving.metrics.shared_files import begin_service
from fivefold.serving.pages import Pages
from fivefold.serving.parent_watch import ParentWatch
from fivefold.serving.quota import QuotaCharger
from fivefold.serving.responses import ARRAY, error_response, json_response
from fivefold.serving.v1.dispatch import Dispatcher
from fivefold.serving.v1.router import add_platform
from fivefold.serving.v4.app import SCORING, ScoringFastPath, build_app
from fivefold.serving.v4.decoding import decode_body
from fivefold.serving.v4.endpoint import ScoringEndpoint
from fivefold.store.accounts.plans import read_plans
from fivefold.store.sql.database import SchemaWatch, bring_forward, open_database
from fivefold.store.sql.migrating import SchemaVersionError
from fivefold.usecases.collector import spare_what_stays
from fivefold.usecases.levels.value_scores import EntityScorer
from fivefold.usecases.monitoring.statistics import PlatformFigures
from fivefold.usecases.webhooks.plan import number_from_first_write, require_right_to_number

configure_logs()
log = structlog.get_logger("fivefold.service")
if NOT_SHARED:
    log.warning("metrics of this process alone", why=NOT_SHARED)

SETTINGS = read_settings()
guard(SETTINGS.limits.connections)
trust_proxies(SETTINGS.trusted_proxies)
ANSWER_SECONDS = 10.0
"""Longest single wait of scoring for the database; a request may retry within its own limit."""
ENGINE: Engine = open_database(SETTINGS.database, SETTINGS.clock_tolerance_seconds, ANSWER_SECONDS)
PLATFORM: Engine = open_database(SETTINGS.database, SETTINGS.clock_tolerance_seconds, SETTINGS.limits.seconds)
"""Connections of the platform: its statements may take longer, and on SQLite may wait longer for another writer."""
CHAMPION_LOADER = ChampionLoader(SETTINGS)
QUOTA_CHARGER = QuotaCharger(ENGINE)
ACCESS = AccessLog()
DRIFT_COUNTER = DriftCounter(ENGINE, lambda: CHAMPION_LOADER.current)
SERVICE_METRICS = ServiceMetrics(CHAMPION_LOADER, DRIFT_COUNTER, PlatformMetrics(PlatformFigures(PLATFORM)))
PARENT_WATCH = ParentWatch(SETTINGS.parent_process, SETTINGS.owner_process)
PLANS = read_plans(SETTINGS.plans_file)
SCORING_ENDPOINT = ScoringEndpoint(
    settings=SETTINGS,
    plans=PLANS,
    loader=CHAMPION_LOADER,
    authenticator=Authenticator(ENGINE),
    charger=QUOTA_CHARGER,
    counter=DRIFT_COUNTER,
)
APP = build_app(SCORING_ENDPOINT)


def entity_scorer() -> EntityScorer | None:
    """Return the champion as a scorer of stored entities; None until there is one, and once it was withdrawn."""
    served = None if CHAMPION_LOADER.withdrawn else CHAMPION_LOADER.current
    return None if served is None else EntityScorer(served.model, served.name, served.version)


@cache
def _opened_registry() -> Registry:
    return Registry(SETTINGS, SETTINGS.model_name)


def open_registry() -> Registry | None:
    """Open the registry of value models, once; return None until a model was trained."""
    return _opened_registry() if SETTINGS.has_registry else None


DISPATCHER = Dispatcher(PLATFORM, SETTINGS.limits, entity_scorer, PLANS, open_registry)
add_platform(APP, DISPATCHER)
add_mcp(APP, McpEndpoint(DISPATCHER, SETTINGS.mcp_hosts))
add_console(APP, Console(PLATFORM, entity_scorer, PLANS, open_registry, SETTINGS.openid))
SWITCH_SECONDS = 0.0005
SLACK_SECONDS = 30
"""How much later BentoML's own time limit ends than ours, which answers with an array."""


class OutermostMiddleware:
    """Puts the error middleware and the scoring fast path around the whole application at its start.

    A middleware that is added the usual way runs inside BentoML's own, whose time limit alone costs a task and a timer
    for each request.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap *app*."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Move to the outside at the start, before any request; pass everything else on."""
        if scope["type"] == "lifespan":
            whole = scope["app"]
            whole.router.redirect_slashes = False  # unused, and it would repeat whatever host the caller claims
            _match_newlines(whole.router.routes)
            front = ScoringFastPath(SCORING_ENDPOINT, Pages(whole.middleware_stack, COMPUTED))
            whole.middleware_stack = ErrorMiddleware(front, SERVICE_METRICS, SETTINGS.limits.seconds, ACCESS)
        await self._app(scope, receive, send)


def _match_newlines(routes: Iterable[BaseRoute]) -> None:
    """Let BentoML's mount of our application match every path: its pattern stops at a newline, which `.` excludes."""
    for route in routes:
        if isinstance(route, Mount):
            route.path_regex = re.compile(route.path_regex.pattern, re.DOTALL)


SCHEMA = SchemaWatch(ENGINE)


def readiness() -> Response:
    """Answer whether this worker is ready, with which model, and why a newer one does not serve."""
    problem = _database_problem() or QUOTA_CHARGER.problem()
    served = CHAMPION_LOADER.current
    if problem:
        return error_response(503, problem)
    if served is None:
        body = [{"detail": CHAMPION_LOADER.refused, "ready_for": ["/v1"]}]
        return Response(to_json(body), 503, media_type="application/json", headers={ARRAY: "1"})
    state = {"detail": "ready", "model_version": served.version}
    return json_response([{**state, "refused": CHAMPION_LOADER.refused} if CHAMPION_LOADER.refused else state])


def _bring_forward() -> None:
    """Bring the database to the schema of this program, whichever command started it.

    If that fails, the process goes on, is not ready, and reports why: the database may be out of reach only briefly.
    """
    try:
        bring_forward(SETTINGS.database, SETTINGS.clock_tolerance_seconds)
    except StoreError as error:
        log.error("database not brought forward", problem=str(error))  # noqa: TRY400 (a traceback adds nothing)
    SCHEMA.look()
    number_from_first_write(PLATFORM)


def _database_problem() -> str:
    try:
        SCHEMA.require_usable()
        require_right_to_number(ENGINE)
    except SchemaVersionError as error:
        return str(error)
    except FivefoldError as error:
        return str(error).partition(":")[0]  # without the driver's own words, which name the host and the user
    return ""


def metrics() -> Response:
    """Write the metrics."""
    return Response(SERVICE_METRICS.page(), media_type="text/plain; version=0.0.4; charset=utf-8")


def readiness_of_platform() -> Response:
    """Answer whether /v1 is ready, which needs no model."""
    problem = _database_problem()
    return error_response(503, problem) if problem else json_response([{"detail": "ready"}])


def openapi_document() -> Response:
    """Answer with the OpenAPI document, without a token; the framework would serialize it at each request."""
    return Response(APP.document_bytes, media_type="application/json")


COMPUTED = {
    "/openapi.json": openapi_document,
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
        """Start the threads of this worker; a model that cannot be loaded never ends it."""
        ACCESS.start()
        PARENT_WATCH.start()
        _bring_forward()
        QUOTA_CHARGER.start()
        DRIFT_COUNTER.start()
        CHAMPION_LOADER.start()
        measure_body(b"[]")  # this and the next load or compile the loops over a body
        decode_body(b"[]", 1)
        for document in (Ruleset, Policy, Flow, Group):
            document.model_rebuild()  # otherwise the first document read would wait for it
        openapi_document()  # cached from here on: it takes a second, and requests would wait
        spare_what_stays()
        # The charging thread takes the interpreter lock after every step of SQLite; at Python's 5 ms it would wait
        # longer than it works.
        sys.setswitchinterval(SWITCH_SECONDS)

    def __is_ready__(self) -> bool:
        """Tell BentoML whether a model is loaded."""
        return CHAMPION_LOADER.current is not None

    @bentoml.on_deployment  # type: ignore[untyped-decorator]  # BentoML ships no types for it
    def begin_metrics() -> None:
        """Begin the files of metrics before the first worker starts: BentoML calls this in the parent process."""
        if problem := begin_service(SETTINGS.metrics_files, os.getpid()):
            log.warning("files of metrics not begun", why=problem)

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]  # BentoML ships no types for it
    def close(self) -> None:
        """Stop the threads and close the connections."""
        PARENT_WATCH.stop()
        CHAMPION_LOADER.stop()
        QUOTA_CHARGER.stop()
        DRIFT_COUNTER.stop()
        ACCESS.stop()
        ENGINE.dispose()
        PLATFORM.dispose()


Fivefold.add_asgi_middleware(OutermostMiddleware)  # type: ignore[attr-defined]  # the decorator made it a BentoML service
