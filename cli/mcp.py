"""`fivefold mcp`: the platform for an agent on this machine, over standard input and output."""

from collections.abc import Callable
from threading import Event, Thread
from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.signals import ended_at_once_by_signals
from fivefold.cli.terminal import open_current_database, require_module, warn
from fivefold.domain.errors import ConfigError
from fivefold.domain.settings import read_settings

if TYPE_CHECKING:
    from fivefold.models.registry import Registry
    from fivefold.usecases.levels.value_scores import EntityScorer

LOOK_SECONDS = 30


def mcp(
    token: Annotated[
        str,
        typer.Option("--token", envvar="FIVEFOLD_TOKEN", help="The caller's token, as over HTTP.", show_default=False),
    ] = "",
) -> None:
    """Answer an agent on this machine, by the Model Context Protocol.

    It reads requests from standard input and answers on standard output, until the input ends. Agents start it
    themselves.
    """
    import asyncio

    require_module("mcp")  # its extra has the others too
    from fivefold.serving.logs import configure_logs
    from fivefold.serving.mcp.server import converse
    from fivefold.serving.responses import ApiError
    from fivefold.serving.v1.dispatch import Dispatcher
    from fivefold.store.accounts.plans import read_plans
    from fivefold.usecases.levels.worker_loop import ChampionWatcher

    if not token:
        raise ConfigError("give a token, in FIVEFOLD_TOKEN or by --token; `fivefold tokens create` makes one")
    configure_logs()
    settings = read_settings()
    engine = open_current_database()
    champion, opened = ChampionWatcher(engine, settings), list["Registry"]()
    looked, ended = Event(), Event()

    def open_registry() -> "Registry | None":
        if settings.has_registry and not opened:
            from fivefold.models.registry import Registry

            opened.append(Registry(settings, settings.model_name))
        return opened[0] if opened else None

    def valuer() -> "EntityScorer | None":
        looked.wait()  # an agent waits for the greeting no longer than some seconds, and for an answer it does
        return champion.valuer

    plans = read_plans(settings.plans_file)
    dispatcher = Dispatcher(engine, settings.limits, valuer, plans, open_registry)
    try:
        who = asyncio.run(dispatcher.identify(token))
    except ApiError:
        raise ConfigError("the token is not valid, or no longer: `fivefold tokens list` shows which ones are") from None
    Thread(target=_keep_loading, args=(champion.load, looked, ended), name="value model", daemon=True).start()
    warn(f"answering as {who.role} on standard input and output; end it by closing standard input")
    try:
        with ended_at_once_by_signals():
            asyncio.run(converse(dispatcher, token))
    finally:
        ended.set()
        engine.dispose()


def _keep_loading(load: Callable[[], None], looked: Event, ended: Event) -> None:
    """Load the value model again and again; after an error the previous one stays in use."""
    import structlog

    from fivefold.usecases.unexpected import UNEXPECTED_ERRORS

    while not ended.is_set():
        try:
            load()
        except UNEXPECTED_ERRORS as error:  # the next look may go well
            structlog.get_logger("fivefold.mcp").warning("value model not loaded", error=type(error).__name__)
        finally:
            looked.set()
        ended.wait(LOOK_SECONDS)
