"""`fivefold statement` and `challenge`: what a person concerned may know of an assessment, and contest."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from fivefold.cli.parameters import command_group
from fivefold.cli.platform.changes import person
from fivefold.cli.platform.levels import serving_valuer
from fivefold.cli.terminal import (
    OrganisationOption,
    acting_in,
    echo,
    moment,
    of_organisation,
    show_table,
)
from fivefold.domain.clock import day_text, now_microseconds, second_text
from fivefold.domain.errors import ConfigError
from fivefold.domain.files import replacing
from fivefold.domain.paging import every_row

if TYPE_CHECKING:
    from fivefold.usecases.recourse.challenges import ChallengeLine
    from fivefold.usecases.recourse.settlement import Outcome
    from fivefold.usecases.recourse.statement import Disclosure, Form


NumberArgument = Annotated[int, typer.Argument(metavar="CHALLENGE", help="The number in `fivefold challenge list`.")]


def open_(
    assessment: Annotated[str, typer.Argument(help="The number of the contested assessment, such as 12.3.")],
    words: Annotated[str, typer.Option("--words", help="The person's words.")],
    received: Annotated[str | None, typer.Option("--received", help="When the words arrived; now by default.")] = None,
    organisation: OrganisationOption = "default",
) -> None:
    """Open a challenge of an assessment. Its record is kept until the challenge is settled."""
    from fivefold.usecases.recourse.challenges import open_challenge

    at_us = None if received is None else moment(received, "--received")
    line = open_challenge(acting_in(organisation), assessment, words, at_us)
    echo(f"Challenge {line.id} of assessment {line.assessment} is {line.state}, due on {day_text(line.due_us)[:10]}.")
    if line.state == "open":
        echo("Its record is kept until a person who did not take part in the decision settles it:")
        options = f"--opened-at {day_text(line.opened_us)}{of_organisation(organisation)} --reason …"
        echo(f"  fivefold challenge settle {line.id} confirmed {options}, with their token in FIVEFOLD_TOKEN")


def list_(
    state: Annotated[str | None, typer.Option("--state", help="open, confirmed, corrected or overridden.")] = None,
    customer: Annotated[
        str | None, typer.Option("--customer", help="Only those of the entity with this identifier.")
    ] = None,
    kind: Annotated[str, typer.Option("--type", help="The type of that entity.")] = "customer",
    organisation: OrganisationOption = "default",
) -> None:
    """List challenges, ordered by due date."""
    from fivefold.usecases.recourse.challenges import ChallengeFilters, list_challenges

    who = acting_in(organisation)
    filters = ChallengeFilters(state=state, entity=None if customer is None else (kind, customer))
    rows = [
        [str(line.id), line.state, line.assessment, line.external_id, day_text(line.due_us)[:10], _age(line)]
        for line in every_row(lambda part: list_challenges(who, filters, part))
    ]
    show_table("Challenges", ("id", "state", "assessment", "customer", "due", "open for"), rows, left=6)


def _age(line: "ChallengeLine") -> str:
    """Write how long an open challenge has waited, and whether it is overdue."""
    if line.settled_us is not None:
        return ""
    days = (now_microseconds() - line.received_us) // 86_400_000_000
    return f"{days} {'day' if days == 1 else 'days'}" + (", overdue" if line.overdue else "")


def show(number: NumberArgument, organisation: OrganisationOption = "default") -> None:
    """Show a challenge: the person's words, whether the record is unchanged, and the settlement."""
    from fivefold.usecases.recourse.challenges import read_challenge

    line = read_challenge(acting_in(organisation), number)
    newest = "" if line.is_newest else ", not the newest one"
    echo(f"Challenge {line.id} of assessment {line.assessment} of {line.entity_type} {line.external_id}{newest}")
    opening = f"opened {day_text(line.opened_us)} by {line.opened_by}"
    echo(f"Received {second_text(line.received_us)}, {opening}: {line.words}")
    echo(f"{line.state}, due {second_text(line.due_us)}{', overdue' if line.overdue else ''}")
    if not line.record_unchanged:
        echo("The record has changed since the challenge was opened: `fivefold audit verify` shows the change")
    if line.settled_us is None:
        return
    echo(f"Settled {second_text(line.settled_us)} by {line.settled_by}: {line.reason}")
    parts = (
        ("Answer for the person", line.answer),
        ("Corrected facts", ", ".join(line.facts)),
        ("Override", line.override),
        ("New assessment", line.new_assessment),
    )
    for name, value in parts:
        if value:
            echo(f"{name}: {value}")


def settle(
    number: NumberArgument,
    outcome: Annotated[str, typer.Argument(help="confirmed, corrected or overridden.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, for the organisation.")],
    answer: Annotated[str, typer.Option("--answer", help="The answer to the person.")] = "",
    fact: Annotated[
        list[str] | None, typer.Option("--fact", help="A corrected fact, such as 'field income'; repeatable.")
    ] = None,
    override: Annotated[
        int | None, typer.Option("--override", help="Number of the override that was decided since then.")
    ] = None,
    opened_at: Annotated[
        str | None,
        typer.Option(
            "--opened-at",
            help="When the challenge you looked at was opened, as `fivefold challenge show` prints it: after a "
            "restore another one may have its number. Without this option, that is not checked.",
        ),
    ] = None,
    organisation: OrganisationOption = "default",
    token: Annotated[
        str, typer.Option("--token", envvar="FIVEFOLD_TOKEN", help="An approver's or an admin's own token.")
    ] = "",
) -> None:
    """Settle a challenge: the outcome is confirmed, facts were corrected, or a person overrode the rules."""
    from fivefold.usecases.recourse.settlement import Settlement, settle_challenge
    from fivefold.usecases.shared.actors import Role

    who, _ = person(organisation, token, (Role.APPROVER, Role.ADMIN))
    settlement = Settlement(
        outcome=cast("Outcome", outcome),
        reason=reason,
        answer=answer,
        facts=tuple(fact or ()),
        override=override,
        expected_opened_us=None if opened_at is None else moment(opened_at, "--opened-at"),
    )
    valuer = None if outcome == "confirmed" else serving_valuer(who.engine)
    line = settle_challenge(who, number, settlement, valuer=valuer)
    anew = "" if line.new_assessment is None else f"; the new assessment is {line.new_assessment}"
    echo(f"Challenge {line.id} is settled: {line.state}{anew}.")
    echo(f"  fivefold challenge reply {line.id} --output reply.pdf{of_organisation(organisation)}    # for the person")


def reply(
    number: NumberArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="The .pdf or .json file to write.")],
    organisation: OrganisationOption = "default",
) -> None:
    """Write the reply to a settled challenge for the person concerned.

    It contains fixed words for the outcome and the answer written for the person, and nothing else of the settlement.
    It is recorded that it was given, with its SHA-256.
    """
    form = _form_of(output)
    from fivefold.console.recourse.statement import json_of_reply
    from fivefold.usecases.recourse.reply import give_reply

    reply_given = give_reply(acting_in(organisation), number, form)
    if form == "pdf":
        from fivefold.console.recourse.pdf import pdf_of_reply

        content = pdf_of_reply(reply_given, "UTC")
    else:
        content = json_of_reply(reply_given)
    _write(output, content, f"Reply to challenge {number}", reply_given)


def statement(
    assessment: Annotated[str, typer.Argument(help="Its number, such as 12.3.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .pdf or .json file to write.")],
    organisation: OrganisationOption = "default",
) -> None:
    """Write the statement of an assessment for the person concerned.

    It lists the data, the effect of each value, and the effect of other values. A rule that is not disclosable leaves
    no
    trace. It is recorded that it was given, with its SHA-256.
    """
    form = _form_of(output)
    from fivefold.usecases.recourse.statement import give_statement

    statement_given = give_statement(acting_in(organisation), assessment, form)
    if form == "pdf":
        from fivefold.console.recourse.pdf import pdf_of_statement

        content = pdf_of_statement(statement_given, "UTC")
    else:
        from fivefold.console.recourse.statement import json_of_statement

        content = json_of_statement(statement_given)
    _write(output, content, f"Statement of assessment {assessment}", statement_given)


def _form_of(output: Path) -> "Form":
    """Give the form for the suffix of a file; ConfigError for a suffix other than .pdf and .json."""
    if output.suffix not in {".pdf", ".json"}:
        raise ConfigError(f"--output is {str(output)!r}; it must end in .pdf or .json")
    return "pdf" if output.suffix == ".pdf" else "json"


def _write(output: Path, content: bytes, name: str, disclosure: "Disclosure") -> None:
    """Write what the person concerned is given, and say by which digest the audit log knows it."""
    with replacing(output) as unfinished:
        unfinished.write_bytes(content)
    echo(f"{name}: {output}")
    echo(f"  SHA-256 of its content, as the audit log has it: {disclosure.sha256}")


CHALLENGE = command_group(
    "Challenges: a person contests an assessment. Another person settles it by a date.",
    {"open": open_, "list": list_, "show": show, "settle": settle, "reply": reply},
)
