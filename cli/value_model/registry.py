"""`fivefold models`, `promote`, `rollback`, `ui`, `drift`: which model serves, who decided that, if it still fits."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.platform.changes import TokenOption, print_proposal, promoting_person
from fivefold.cli.serve import require_free
from fivefold.cli.terminal import (
    NameOption,
    OrganisationOption,
    actor,
    echo,
    open_current_database,
    open_registry,
    paragraph,
    require_module,
    show_table,
    warn,
)
from fivefold.domain.clock import DAY_US, day_text, from_microseconds, now_microseconds, parse_moment
from fivefold.domain.errors import ConfigError, ModelNotFoundError, PromotionRefusedError
from fivefold.domain.settings import read_settings, require_model_name
from fivefold.training.config import DEFAULT_NAME

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from fivefold.models.promotions import Promotion
    from fivefold.models.registry import RegisteredVersion, Registry
    from fivefold.models.value_model import ValueModel


ReasonOption = Annotated[str, typer.Option("--reason", help="Why; recorded with the promotion.")]
SHOWN = 15
ENDING_SECONDS = 10.0
"""How long MLflow's interface may take to end before it is stopped at once."""
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    # The folder where this was started may have packages of the same names as ours.
    "PYTHONSAFEPATH": "1",
}
"""Switches of MLflow: a program that is started anew does not have those that fivefold sets for itself."""


def models(
    on: Annotated[str | None, typer.Option("--on", help="Show what served at this date or time.")] = None,
    name: NameOption = DEFAULT_NAME,
) -> None:
    """List the registered versions, or what served on a date."""
    moment = None if on is None else parse_moment(on, "--on")
    require_model_name(name)
    from fivefold.models.embedded import no_versions_text

    settings = read_settings()
    if not settings.has_registry:  # an empty list is an answer, and not an error
        echo(no_versions_text(settings, name))
        return
    registry = open_registry(name)
    from fivefold.models.promotions import promotion_history, promotions_on

    if moment is not None:
        _show_promotions(f"{name}: what served on {on}", promotions_on(registry, moment))
        return
    versions = registry.versions()
    if not versions:
        _show_that_none_is_left(registry, no_versions_text(settings, name))
        return
    metrics = ("model_normalised_gini", "model_top_decile_capture", "model_spearman")
    rows = [
        [
            str(version.number),
            ", ".join(version.aliases),
            f"{from_microseconds(version.created_us):%Y-%m-%d}",
            day_text(version.judged_as_of or version.test_as_of),
            *(f"{version.metrics[metric]:.4f}" if metric in version.metrics else "" for metric in metrics),
        ]
        for version in versions
    ]
    columns = ("version", "alias", "registered", "test as-of", "Gini", "capture", "Spearman")
    show_table(name, columns, rows, left=4)
    gone = registry.champion_that_is_gone()
    if gone is not None:
        warn(f"the alias champion names version {gone}, which does not exist")
    for version in reversed(versions):
        if version.absent:
            echo(f"Version {version.number} was trained without {', '.join(version.absent)}.")
        trees = registry.trees_of(version)
        if trees != version.number:
            than = "" if trees == version.parent else f" than version {version.parent}"
            echo(f"Version {version.number} has the trees of version {trees} and a later score curve{than}.")
        if version.judged_as_of is not None:
            echo(
                f"Version {version.number} was refitted on everything up to {day_text(version.test_as_of)}; its "
                f"figures are those of the judged model, whose test as-of was {day_text(version.judged_as_of)}."
            )
    echo()
    _show_promotions("Promotions", promotion_history(registry))


def _show_that_none_is_left(registry: "Registry", never: str) -> None:
    """Say that a model has no versions, and what was promoted where all were deleted; *never* where there were none."""
    from fivefold.models.promotions import promotion_history

    promotions = promotion_history(registry)
    if not promotions:
        echo(never)
        return
    echo(
        f"{registry.name} has no versions left in {registry.settings.registry_shown}: those that were promoted were "
        "deleted. Run `fivefold train` for another one"
    )
    echo()
    _show_promotions("Promotions", promotions)


def promote(
    version: Annotated[int, typer.Argument(help="The version to make champion.")],
    force: Annotated[
        bool, typer.Option("--force", help="Promote although the gate refused, or cannot compare.")
    ] = False,
    reason: ReasonOption = "",
    name: NameOption = DEFAULT_NAME,
    organisation: OrganisationOption = "default",
    token: TokenOption = "",
) -> None:
    """Make a version champion, if the gate allowed it. If an organisation requires two people, it is proposed."""
    if force and not reason.strip():
        raise PromotionRefusedError("--force needs --reason TEXT: it is recorded with the promotion")
    registry = open_registry(name)
    from fivefold.usecases.changes import promotions as promoting

    engine = open_current_database()
    who = promoting_person(engine, organisation, token) if token else None
    if who is None or not promoting.need_of_two_people(engine):
        promotion = promoting.promote_model(
            engine, registry, version, actor(), force=force, reason=reason, person=None if who is None else who.actor
        )
        _print_promotion(engine, registry, promotion)
        return
    print_proposal(promoting.propose_promotion(who, registry, version, force=force, reason=reason), organisation)


def rollback(
    reason: ReasonOption = "",
    name: NameOption = DEFAULT_NAME,
    organisation: OrganisationOption = "default",
    token: TokenOption = "",
) -> None:
    """Make the previous champion the champion again."""
    registry = open_registry(name)
    from fivefold.usecases.changes.promotions import roll_back_model

    engine = open_current_database()
    who = promoting_person(engine, organisation, token).actor if token else None
    _print_promotion(engine, registry, roll_back_model(engine, registry, actor(), reason, who))


def _print_promotion(engine: "Engine", registry: "Registry", promotion: "Promotion") -> None:
    paragraph(
        f"Version {promotion.version} is the champion now{_replaced_text(promotion)}. "
        f"Recorded: {promotion.who}, {promotion.why}"
    )
    warn_of_money(engine, registry, promotion)


def log_champion(registry: "Registry", version: "RegisteredVersion", *, adds_organisation: bool = False) -> None:
    """Record the promotion of a version that serves, where the process that promoted it ended before its entry."""
    from fivefold.models.registry import CHAMPION
    from fivefold.usecases.models.promotion_log import record_missing

    if CHAMPION in version.aliases:
        record_missing(open_current_database(), registry, actor(), adds_organisation=adds_organisation)


def warn_of_money(engine: "Engine", registry: "Registry", promotion: "Promotion") -> None:
    """Warn of other money than the champion before gave, and name what reads it in any organisation."""
    from fivefold.store.sql.database import reading
    from fivefold.usecases.changes.promotions import money_changes

    with reading(engine) as session:
        for text in money_changes(session, registry, promotion.replaced, promotion.version):
            warn(text)


def _replaced_text(promotion: "Promotion") -> str:
    return f" instead of version {promotion.replaced}" if promotion.replaced else ""


def _action_text(promotion: "Promotion") -> str:
    return f"{promotion.action}{' (forced)' if promotion.forced else ''} by {promotion.who}"


def _show_promotions(title: str, promotions: "list[Promotion]") -> None:
    """Print promotions as a table, and below it the whole reason of each, such as what the gate said."""
    if not promotions:
        echo(f"{title}: none")
        return
    moments = [f"{from_microseconds(promotion.at_us):%Y-%m-%d %H:%M:%S}" for promotion in promotions]
    rows = [
        [moment, f"version {promotion.version}{_replaced_text(promotion)}", _action_text(promotion)]
        for moment, promotion in zip(moments, promotions, strict=True)
    ]
    show_table(title, ("at (UTC)", "champion from then on", "how"), rows, left=3)
    echo()
    for moment, promotion in zip(moments, promotions, strict=True):
        if promotion.why:
            paragraph(f"{moment}, version {promotion.version}: {promotion.why}")


def drift(
    days: Annotated[int, typer.Option("--days", min=1, help="How far back to look.")] = 30,
    every: Annotated[
        bool, typer.Option("--all", help="Show every indicator, not only those that drifted furthest.")
    ] = False,
    version: Annotated[
        int | None, typer.Option("--version", help="Version of the model; the champion by default.")
    ] = None,
    name: NameOption = DEFAULT_NAME,
) -> None:
    """Show how far scored customers have drifted. The training reference is compared with the counts of the service."""
    require_model_name(name)
    from fivefold.models.drift import index_words
    from fivefold.usecases.monitoring.drift import drift_key, measure_drift, week_of

    number, model = _model_of(name, version)
    engine = open_current_database()
    since = week_of(now_microseconds() - days * DAY_US)
    drifts = measure_drift(engine, model.reference, drift_key(name, model), number, since)
    rows = [
        [line.name, "" if line.index is None else index_words(line.index), line.verdict, f"{line.customers:,}"]
        for line in (drifts if every else drifts[:SHOWN])
    ]
    columns = ("indicator", "PSI", "verdict", "customers, at least")
    show_table(f"{name} version {number}: drift since {since}", columns, rows)
    paragraph("PSI below 0.1 is stable, above 0.25 shifted. Below 500 customers of one worker and week it is unknown.")


def _model_of(name: str, version: int | None) -> "tuple[int, ValueModel]":
    """Load a version, or the champion; that of the embedded registry without MLflow, whose import takes seconds."""
    from fivefold.models.embedded import embedded_champion, load_embedded_champion

    embedded = embedded_champion(read_settings(), name)
    if embedded is not None and version in {None, embedded.version}:
        return embedded.version, load_embedded_champion(embedded)
    registry = open_registry(name)
    number = version or registry.require_champion().number
    return number, registry.load(number)


def show_interface(
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 5000,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; the interface has no sign-in.")
    ] = "127.0.0.1",
) -> None:
    """Show every run and version in a browser. It is MLflow's interface, without telemetry, and runs until stopped."""
    settings = read_settings()
    if settings.tracking_uri.startswith(("http://", "https://")):
        raise ConfigError(f"MLFLOW_TRACKING_URI is {settings.tracking_shown}, a server: it has an interface of its own")
    require_module("mlflow")  # the program that is started would say it in other words
    from fivefold.models.embedded import no_versions_text, require_not_empty

    require_not_empty(settings)
    if not settings.has_registry:  # MLflow would begin one, where perhaps another folder is meant
        raise ModelNotFoundError(no_versions_text(settings, settings.model_name))
    require_free(host, port)  # where it is in use that program ends with 0
    os.environ |= QUIET
    arguments = ["--backend-store-uri", settings.tracking_uri, "--host", host, "--port", str(port)]
    sys.stdout.flush()
    raise typer.Exit(_serve_until_ended([sys.executable, "-P", "-m", "mlflow", "server", *arguments]))


def _serve_until_ended(words: list[str]) -> int:
    """Run a server until it ends, or until a signal ends this command; give its exit code.

    It starts a dozen of processes, which would stay where a signal reaches the first alone. So they have a group of
    their own, which ends as this command does.
    """
    with subprocess.Popen(words, start_new_session=True) as server:  # noqa: S603 (our own words)
        try:
            return server.wait()
        finally:
            for number, seconds in ((signal.SIGTERM, ENDING_SECONDS), (signal.SIGKILL, None)):
                with suppress(ProcessLookupError):
                    os.killpg(server.pid, number)
                with suppress(subprocess.TimeoutExpired):
                    server.wait(seconds)
