"""`fivefold level`: a stored customer's level and its reasons, or counts of all levels."""

import json
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.terminal import (
    OrganisationOption,
    acting_in,
    echo,
    of_organisation,
    open_current_database,
    show_table,
)
from fivefold.domain.clock import second_text
from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import every_row
from fivefold.domain.settings import read_settings
from fivefold.domain.text import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from fivefold.usecases.levels.entity_profile import RelatedLine
    from fivefold.usecases.levels.read import LevelView
    from fivefold.usecases.levels.value_scores import EntityScorer


def level(
    customer: Annotated[
        str | None, typer.Argument(help="The customer's identifier, as imported; without it, all levels are counted.")
    ] = None,
    kind: Annotated[str, typer.Option("--type", help="The type of the entity.")] = "customer",
    organisation: OrganisationOption = "default",
    now: Annotated[bool, typer.Option("--now", help="First compute it again, with everything known now.")] = False,
    past: Annotated[bool, typer.Option("--history", help="Show past assessments too, the latest first.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as one JSON object.")] = False,
) -> None:
    """Show a stored customer's level and why, or count all levels."""
    from fivefold.usecases.accounts.organisations import elsewhere, require_type
    from fivefold.usecases.levels.entity_profile import read_entity
    from fivefold.usecases.levels.explain import shown_line
    from fivefold.usecases.levels.read import Freshness, level_history, read_level

    engine = open_current_database()
    if customer is None:
        show_distribution(engine, organisation, kind)
        return

    try:
        actor = acting_in(organisation, engine)
        valuer = serving_valuer(engine) if now else None
        freshness = Freshness.NOW if now else Freshness.STORED
        view = read_level(actor, kind, customer, freshness, valuer=valuer)
        entity = read_entity(actor, kind, customer)
        lines = list(every_row(partial(level_history, actor, kind, customer))) if past else []
    except NotFoundError as error:
        require_type(actor, kind, customer)
        hint = elsewhere(engine, kind, customer)
        if not hint:
            raise
        raise NotFoundError(f"{error}; {hint}") from error
    finally:
        engine.dispose()
    if as_json:
        content = asdict(view)
        content |= {name: [vars(line) for line in getattr(entity, name)] for name in ("owners", "owns")}
        content |= {"history": [vars(line) for line in lines]} if past else {}
        echo(json.dumps(content, indent=2, ensure_ascii=False))
        return
    _show(view, of_organisation(organisation))
    _show_related("Owners", entity.owners)
    _show_related("Owns", entity.owns)
    if past:
        rows = [
            [line.assessment, second_text(line.at_us), line.level or "none", shown_line(line.status, line.line)]
            for line in lines
        ]
        show_table("\nAssessments, the latest first", ("number", "as of", "level", "why"), rows, left=4)


def serving_valuer(engine: "Engine") -> "EntityScorer | None":
    """Load the champion, if there is one: rules may read the value."""
    from fivefold.usecases.levels.worker_loop import ChampionWatcher

    champion = ChampionWatcher(engine, read_settings())
    champion.load()
    return champion.valuer


def _show(view: "LevelView", of: str) -> None:
    """Print a level, its override, the rules that fired, and notes about its freshness; *of* ends further commands."""
    from fivefold.usecases.levels.explain import fired_rows, shown_line

    since = "" if view.since_us is None else f", since {second_text(view.since_us)}"
    echo(f"{view.external_id}: {view.level or 'no level'}{since}")
    if view.breakdown is None:
        _show_without_reasons(view)
        return
    echo(shown_line(view.breakdown["status"], view.breakdown["line"]))
    if view.override is not None:
        by = view.override
        until = "" if by.until_us is None else f" until {second_text(by.until_us)}"
        echo(f"Override to {by.level}{until}, approved by {by.approved_by}: {by.reason}")
    if rows := fired_rows(view.breakdown):
        show_table("", ("rule", "case", "seen", "points", "floor"), rows, left=3)
    echo()
    if view.assessed_us is not None:
        echo(f"{view.breakdown['status'].capitalize()} as of {second_text(view.assessed_us)}{_decided_by(view, of)}")
    if view.kept_by:
        echo(f"These rulesets keep it as well, until it is known that they do not apply: {', '.join(view.kept_by)}.")
    if view.stale_rates_days is not None:
        echo(
            f"Its exchange rates are stale: the newest was {view.stale_rates_days:,} days old when it was computed;"
            " `fivefold rates` adds newer ones."
        )
    if view.may_move_down_us is not None:
        echo(f"It may move to a lower level from {second_text(view.may_move_down_us)} on.")
    if view.problem is not None:
        _show_problem(view, ", and newer events may be missing from it" if view.refreshing else "")
    elif view.refreshing:
        echo("There are newer events: a worker will recompute it; --now does so at once.")


def _show_without_reasons(view: "LevelView") -> None:
    """Print why a level has no reasons, and how to come to some."""
    if view.problem is None:
        echo(f"{view.status}; `fivefold worker --once` assesses all due entities, --now only this one")
        return
    echo(view.status)
    _show_problem(view)
    if not view.quarantined:
        echo("A worker will try again; --now does so at once.")


def _show_problem(view: "LevelView", newer: str = "") -> None:
    """Print why the level could not be computed, and what to do where workers leave that."""
    echo(f"The last attempt to compute it failed{newer}: {view.problem}")
    if view.quarantined:
        echo("It failed too often, so workers leave it until something new happens; --now tries again at once.")


def _show_related(title: str, lines: "Sequence[RelatedLine]") -> None:
    """Print the owners or owned entities, if any."""
    if lines:
        rows = [
            [
                line.external_id,
                line.entity_type,
                line.level or "none",
                "" if line.from_us is None else second_text(line.from_us),
                "" if line.until_us is None else second_text(line.until_us),
            ]
            for line in lines
        ]
        show_table(f"\n{title}", ("entity", "type", "level", "since", "until"), rows, left=5)


def show_distribution(engine: "Engine", organisation: str, kind: str = "customer") -> None:
    """Print how many entities of a type have each level, and why the others have none."""
    from fivefold.usecases.accounts.organisations import require_type
    from fivefold.usecases.levels.distribution import distribution

    context = acting_in(organisation, engine)
    require_type(context, kind)
    counts = distribution(context, kind)
    rows = [*counts.by_level.items(), *((f"({why})", count) for why, count in counts.without_level().items() if count)]
    show_table(
        f"{counts.entities:,} of type {kind} in {organisation}",
        ("level", "entities", "share"),
        [[name, f"{count:,}", percent(count / max(counts.entities, 1))] for name, count in rows],
    )
    if broken := [f"{count:,} {status}" for status, count in counts.not_in_full().items() if count]:
        echo(f"The last assessment was not made in full: {', '.join(broken)}. A level that was there before is kept.")
    if counts.failing:
        echo(f"The last attempt failed: {counts.failing:,}, {counts.quarantined:,} of them quarantined.")


def _decided_by(view: "LevelView", of: str) -> str:
    """Name the version that decided, and the command that computes it again; without a ruleset there is neither."""
    if view.ruleset is None:
        return ""
    family, number = view.ruleset
    return f" by {family} version {number}; `fivefold replay {view.assessment}{of}` computes it again and compares"
