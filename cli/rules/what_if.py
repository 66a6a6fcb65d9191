"""`fivefold rules what-if`: the smallest changes that would move the level of one entity."""

from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.rules.assess import OverridesOption, PreviousOption
from fivefold.cli.rules.options import (
    BesideOptions,
    EntitiesArgument,
    PartOptions,
    RulesetArgument,
    ValueOptions,
    portfolio_files,
)
from fivefold.cli.terminal import AsOfOption, echo, past_moment, show_table, warn
from fivefold.domain.clock import day_text
from fivefold.domain.text import count_text

if TYPE_CHECKING:
    from fivefold.risk.governance.what_if.answers import FactorChange, SmallestChange, WhatIf

SHOWN = 20
"""So many answers are shown; the rest is counted."""


def print_what_if(
    path: RulesetArgument,
    entities: EntitiesArgument,
    parts: PartOptions,
    entity: Annotated[str, typer.Option("--entity", help="Identifier of the entity.")],
    previous: PreviousOption = None,
    overrides: OverridesOption = None,
    as_of: AsOfOption = None,
    *,
    value: ValueOptions,
    beside: BesideOptions,
    up: Annotated[
        bool, typer.Option("--up", help="Find what would raise the level, instead of what would lower it.")
    ] = False,
    level: Annotated[
        str | None, typer.Option("--level", help="The level to reach; by default one step from the present one.")
    ] = None,
) -> None:
    """Find the smallest changes that would move an entity's level: of one factor, then of two.

    With --first and --then, the ruleset that decides on the entity is used.
    """
    from fivefold.risk.governance.beside import Beside
    from fivefold.risk.governance.what_if.hold import holds_sentence
    from fivefold.risk.governance.what_if.search import WantedDirection
    from fivefold.usecases.portfolio_files.bundled import load_ruleset
    from fivefold.usecases.portfolio_files.governance import what_if_of_file

    at = past_moment(as_of)
    files = portfolio_files(entities, parts, value)
    ruleset = load_ruleset(path)
    direction = WantedDirection.UP if up else WantedDirection.DOWN
    others = beside.load()
    what_if, decides = what_if_of_file(
        ruleset, files, at, entity, direction, level, previous=previous, overrides=overrides, beside=others
    )
    by = "" if others == Beside() else f" by {decides}"
    echo(f"{entity}: {what_if.now.level or 'no level'}{by}, as of {day_text(at)}")
    echo(what_if.now.line)
    if what_if.holds:
        once = dict.fromkeys(what_if.holds)  # one floor may be above an override and beneath it
        holds = [(one.level, one.by, None if one.until is None else day_text(one.until)) for one in once]
        echo(holds_sentence(holds))
    for failure in what_if.now.failures:
        warn(failure)
    _print_found(what_if)


def _print_found(what_if: "WhatIf") -> None:
    if what_if.level is None:
        echo("\nNo answer: the level was not assessed in full.")
        return
    if what_if.wished is None:
        echo(f"\nNothing to change: the score and the floors already give {what_if.level}.")
        return
    if what_if.answers:
        echo(f"\nWhat would make it {_wish(what_if)}:")
        for answer in what_if.answers[:SHOWN]:
            for line in _lines(answer):
                echo(line)
        if len(what_if.answers) > SHOWN:
            echo(f"... and {len(what_if.answers) - SHOWN:,} more")
    else:
        echo(f"\nNo change of one or two factors that a person can change would make it {_wish(what_if)}.")
    _print_without(what_if)
    if what_if.pairs_left_out:
        warn(f"not tried: {count_text(what_if.pairs_left_out, 'pair of changes', 'pairs of changes')}")


def _print_without(what_if: "WhatIf") -> None:
    """Print the factors whose change alone does not help: those that could be changed, and those that count."""
    tried = [[one.title, one.why] for one in what_if.without if one.is_changeable]
    if tried:
        show_table("\nNo change of this factor alone can", ("factor", "why"), tried, left=2)
    fixed = [one.title for one in what_if.without if not one.is_changeable and one.gives]
    if fixed:
        echo(f"\nCounts, and cannot be changed by a person: {'; '.join(fixed)}")


def _wish(what_if: "WhatIf") -> str:
    """Say which levels are good enough."""
    return f"{what_if.wished}{what_if.beyond}"


def _lines(answer: "SmallestChange") -> list[str]:
    changes = [f"{' and '.join(one.rules.values())}: {one.now} → {one.then}" for one in answer.changes]
    delay = (
        ""
        if answer.held_until is None
        else f", from {day_text(answer.held_until)} on: the level now is held until then"
    )
    return [
        f"- {'; with '.join(changes)}",
        *(f"    {_moved(factor)}" for factor in answer.factors),
        f"    score {answer.after.score}, {answer.level}{delay}",
    ]


def _moved(factor: "FactorChange") -> str:
    return f"{factor.title}: {factor.before.case_outcome.effect} → {factor.after.case_outcome.effect}"
