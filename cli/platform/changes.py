"""`fivefold proposals`: changes that one person proposes and another approves."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.parameters import command_group
from fivefold.cli.terminal import (
    OrganisationOption,
    acting_in,
    echo,
    of_organisation,
    open_registry,
    show_table,
    warn,
)
from fivefold.domain.clock import day_text, parse_moment
from fivefold.domain.errors import ConfigError
from fivefold.domain.paging import every_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from fivefold.usecases.changes.effects import Champions
    from fivefold.usecases.changes.proposals import ChangeOutcome, ProposalLine
    from fivefold.usecases.shared.actors import Role
    from fivefold.usecases.shared.context import Context

NumberArgument = Annotated[int, typer.Argument(metavar="PROPOSAL", help="The number in `fivefold proposals list`.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why.")]
TokenOption = Annotated[
    str,
    typer.Option(
        "--token", envvar="FIVEFOLD_TOKEN", help="A publisher's or an admin's own token; identifies the person."
    ),
]
_GIVEN_BY = "it is from --token or FIVEFOLD_TOKEN"


OutboxDays = Annotated[
    int | None, typer.Option("--outbox-days", help="Days after which sent events are removed; 0: never.")
]
DeliveriesDays = Annotated[
    int | None, typer.Option("--deliveries-days", help="Days after which ended deliveries are removed; 0: never.")
]
ReportsDays = Annotated[
    int | None,
    typer.Option("--reports-days", help="Days after which jobs and movers of backtests are removed; 0: never."),
]
AssessmentsDays = Annotated[
    int | None,
    typer.Option("--assessments-days", help="Days after which the inputs of old assessments are removed; 0: never."),
]
FlowsDays = Annotated[
    int | None,
    typer.Option("--flows-days", help="Days after which the inputs of old runs of flows are removed; 0: never."),
]


def person(
    organisation: str, token: str, roles: "Sequence[Role]" = (), engine: "Engine | None" = None
) -> "tuple[Context, Role]":
    """Return the context and the role of the token's member; without a token those of the machine's account.

    *roles*: the allowed roles of the token; publisher or admin by default.
    """
    from fivefold.usecases.accounts.credentials import find_credential
    from fivefold.usecases.shared.actors import Role
    from fivefold.usecases.shared.context import Context

    at_machine = acting_in(organisation, engine)
    if not token:
        return at_machine, Role.ADMIN
    credential = find_credential(at_machine.engine, token)
    if credential is None or credential.organisation_id != at_machine.organisation_id:
        raise ConfigError(f"the token is not valid in {organisation}; {_GIVEN_BY}")
    allowed = roles or (Role.PUBLISHER, Role.ADMIN)
    if Role(credential.role) not in allowed:
        must = f"it must be {' or '.join(allowed)}"
        raise ConfigError(f"the token is of the role {credential.role}; {must}; {_GIVEN_BY}")
    return Context(at_machine.engine, credential.actor), Role(credential.role)


def promoting_person(engine: "Engine", organisation: str, token: str) -> "Context":
    """Return whom a token names; where it is refused and one person promotes, say how to do without a token."""
    from fivefold.usecases.changes.promotions import need_of_two_people

    try:
        return person(organisation, token, engine=engine)[0]
    except ConfigError as error:
        if need_of_two_people(engine):
            raise
        raise ConfigError(f"{error}; --token '' acts as this machine's account") from None


def list_(
    organisation: OrganisationOption = "default",
    state: Annotated[str | None, typer.Option("--state", help="proposed, approved, refused or withdrawn.")] = None,
) -> None:
    """List proposals, the newest first."""
    from fivefold.usecases.changes.proposals import list_proposals

    who = acting_in(organisation)
    rows = [
        [
            str(line.id),
            line.state,
            line.subject,
            line.external_id or "",
            line.proposed_by,
            day_text(line.proposed_us)[:10],
            _tested(line),
        ]
        for line in every_row(lambda part: list_proposals(who, state, part=part))
    ]
    show_table("Proposals", ("id", "state", "about", "entity", "by", "since", "backtests"), rows, left=7)


def _tested(line: "ProposalLine") -> str:
    return ", ".join(f"{each.id} {each.state}" for each in line.backtests)


def show(number: NumberArgument, organisation: OrganisationOption = "default") -> None:
    """Show a proposal: its content, its reach, and the results of its backtests."""
    from fivefold.usecases.changes.backtests import report_of
    from fivefold.usecases.changes.proposals import read_proposal

    who = acting_in(organisation)
    line = read_proposal(who, number)
    echo(f"Proposal {line.id}, {line.state}: {_proposed(line)}")
    if line.decided_by is not None:
        echo(f"{line.state} by {line.decided_by}: {line.decision_reason}")
    _show_change(who, line)
    for each in line.backtests:
        echo(f"Backtest {each.id} on {each.entity_type}: {each.state}" + (f": {each.error}" if each.error else ""))
        if each.state == "done":
            report = report_of(who, each.id)
            echo(f"{report['changed']['alone']:,} of {report['customers']:,} would get another level by the rules")
            if "released" in report:
                counts = report["released"]
                echo(f"{counts['released']:,} of {counts['raised']:,} that the present version decided on are released")
            cells = [cell for cell in report["backtest"].get("later", ()) if cell["before"] != cell["after"]]
            rows = [[cell["before"], cell["after"], f"{cell['entities']:,}"] for cell in cells]
            show_table("After the cooldown", ("from", "to", "entities"), rows, left=2)


def _show_change(who: "Context", line: "ProposalLine") -> str | None:
    """Show what a proposal would change, whom it would reach, and which others about the same wait beside it.

    Returns the text for the levels that an open one about one entity leads to now, `hash_of_levels`; None for another.
    """
    from fivefold.usecases.changes.proposals import waiting_beside
    from fivefold.usecases.changes.reach import change_now, hash_of_levels

    echo(f"Would change: {json.dumps(dict(line.content), ensure_ascii=False)}")
    echo(f"Would reach: {json.dumps(dict(line.reach), ensure_ascii=False)}")
    if others := waiting_beside(who, line.id):
        echo(f"Also proposed about the same: {', '.join(map(str, others))}")
    now = change_now(who, line.id)
    if now is None:
        return None
    if now.problem or now.unknown:
        echo(f"Cannot be approved any more: {now.problem}" if now.problem else f"Not known now: {now.unknown}")
        return None
    echo(f"Would reach now: {json.dumps(dict(now.reach), ensure_ascii=False)}")
    return hash_of_levels(now.reach)


def _proposed(line: "ProposalLine") -> str:
    """Say what was proposed, by whom, when and why."""
    return f"{line.subject}, by {line.proposed_by} at {day_text(line.proposed_us)}: {line.reason}"


def print_outcome(outcome: "ChangeOutcome", organisation: str) -> None:
    """Print whether a change is done, unnecessary or proposed, and the number of the proposal."""
    if not outcome.changes:
        echo("Nothing to change: it is already so.")
        return
    if outcome.proposal is None:
        echo("Done at once: nothing decides in this organisation yet.")
        return
    print_proposal(outcome.proposal, organisation)


def print_proposal(line: "ProposalLine", organisation: str) -> None:
    """Print the number of a proposal and the next step, and its warnings that a model would predict other money."""
    tests = f"; backtests {_tested(line)}" if line.backtests else ""
    echo(
        f"Proposal {line.id}: {line.subject}{tests}. Another person has to approve it: "
        f"fivefold proposals approve {line.id} --proposed-at {day_text(line.proposed_us)}"
        f"{of_organisation(organisation)}"
    )
    for text in line.reach.get("money", []):
        warn(text)


def order(
    families: Annotated[
        list[str],
        typer.Argument(metavar="RULESET...", help="All rulesets of the type, in the order in which they decide."),
    ],
    reason: ReasonOption,
    kind: Annotated[str, typer.Option("--type", help="The type of entity.")] = "customer",
    organisation: OrganisationOption = "default",
    token: TokenOption = "",
) -> None:
    """Propose another order of the rulesets of a type."""
    from fivefold.usecases.changes.asks import order_families

    print_outcome(order_families(person(organisation, token)[0], kind, families, reason), organisation)


def switch(
    family: Annotated[str, typer.Argument(metavar="RULESET")],
    on: Annotated[bool, typer.Option("--on/--off", help="Whether the ruleset decides.")],
    reason: ReasonOption,
    organisation: OrganisationOption = "default",
    token: TokenOption = "",
) -> None:
    """Propose to switch a ruleset on or off."""
    from fivefold.usecases.changes.asks import switch_family

    print_outcome(switch_family(person(organisation, token)[0], family, on, reason), organisation)


def rollback(
    family: Annotated[str, typer.Argument(metavar="RULESET")],
    version: Annotated[int, typer.Argument(metavar="VERSION", help="A version that decided before.")],
    reason: ReasonOption,
    release: Annotated[
        bool, typer.Option("--release", help="Release levels that only the present version raised.")
    ] = False,
    organisation: OrganisationOption = "default",
    token: TokenOption = "",
) -> None:
    """Propose that an earlier version decides again."""
    from fivefold.usecases.changes.asks import roll_back

    print_outcome(roll_back(person(organisation, token)[0], family, version, reason, release=release), organisation)


def add_list(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A list with all its versions, in YAML or JSON.")],
    reason: ReasonOption,
    organisation: OrganisationOption = "default",
    token: TokenOption = "",
) -> None:
    """Propose the versions of a list that do not exist yet."""
    from fivefold.usecases.changes.asks import put_list

    who = person(organisation, token)[0]
    print_outcome(put_list(who, path.read_text(encoding="utf-8"), reason=reason), organisation)


def retire_policy(
    policy: Annotated[str, typer.Argument(metavar="POLICY")],
    version: Annotated[int, typer.Argument(metavar="VERSION")],
    reason: ReasonOption,
    organisation: OrganisationOption = "default",
    token: TokenOption = "",
) -> None:
    """Propose to retire an active version of a policy."""
    from fivefold.usecases.changes import asks

    print_outcome(asks.retire_policy(person(organisation, token)[0], policy, version, reason), organisation)


def settings(
    reason: ReasonOption,
    override_cap: Annotated[int | None, typer.Option("--override-cap", help="Percent of the portfolio.")] = None,
    retention_days: Annotated[int | None, typer.Option("--retention-days")] = None,
    minimum_coverage: Annotated[
        int | None, typer.Option("--minimum-coverage", help="Percent of rules and cases that examples must reach.")
    ] = None,
    programs_lower_levels: Annotated[
        bool | None,
        typer.Option(
            "--programs-lower-levels/--no-programs-lower-levels",
            help="Whether programs may, without a second person, undo what holds a level up.",
        ),
    ] = None,
    two_people_promote: Annotated[
        bool | None,
        typer.Option(
            "--two-people-promote/--no-two-people-promote",
            help="Whether a value model becomes champion only after another person approved it.",
        ),
    ] = None,
    challenge_days: Annotated[
        int | None, typer.Option("--challenge-days", help="Days after which a challenge of an assessment is due.")
    ] = None,
    lowest_alerts: Annotated[
        int | None,
        typer.Option("--lowest-alerts", help="Percent of the alerts that may be at the lowest level."),
    ] = None,
    outbox_days: OutboxDays = None,
    deliveries_days: DeliveriesDays = None,
    reports_days: ReportsDays = None,
    assessments_days: AssessmentsDays = None,
    flows_days: FlowsDays = None,
    organisation: OrganisationOption = "default",
    token: TokenOption = "",
) -> None:
    """Propose new settings: the cap on overrides, retention, the least coverage, what needs a second person."""
    from fivefold.usecases.accounts.settings import SettingsChange
    from fivefold.usecases.changes.asks import change_settings
    from fivefold.usecases.shared.actors import Role

    who, role = person(organisation, token)
    if role is not Role.ADMIN:
        raise ConfigError("settings are proposed by admins; the token is a publisher's")
    change = SettingsChange(
        override_cap_percent=override_cap,
        retention_days=retention_days,
        minimum_coverage_percent=minimum_coverage,
        programs_lower_levels=programs_lower_levels,
        two_people_promote=two_people_promote,
        challenge_days=challenge_days,
        lowest_alert_percent=lowest_alerts,
        outbox_days=outbox_days,
        deliveries_days=deliveries_days,
        reports_days=reports_days,
        assessments_days=assessments_days,
        flows_days=flows_days,
    )
    print_outcome(change_settings(who, change, reason), organisation)


ProposedAtOption = Annotated[
    str | None,
    typer.Option(
        "--proposed-at",
        help="When the proposal you looked at was made, as `fivefold proposals show` prints it: after a restore "
        "another one may have its number. Without this option a terminal asks; without a terminal it is "
        "required.",
    ),
]


DeciderTokenOption = Annotated[
    str,
    typer.Option(
        "--token",
        envvar="FIVEFOLD_TOKEN",
        help="An approver's, a publisher's or an admin's own token, or that of the person who withdraws; "
        "identifies the person.",
    ),
]


def approve(
    number: NumberArgument,
    reason: ReasonOption,
    proposed_at: ProposedAtOption = None,
    organisation: OrganisationOption = "default",
    token: DeciderTokenOption = "",
) -> None:
    """Approve and carry out another person's proposal, after a check that it is the one you looked at."""
    from fivefold.usecases.changes.contents import APPROVERS, ModelPromoted, refuse_role
    from fivefold.usecases.changes.proposals import approve_proposal, read_proposal
    from fivefold.usecases.shared.actors import Role

    who, role = person(organisation, token, (Role.APPROVER, Role.PUBLISHER, Role.ADMIN))
    proposal = read_proposal(who, number, role)
    refuse_role(number, proposal.kind, role, APPROVERS)
    seen_us, seen_levels = _reviewed_at(who, proposal, proposed_at, "approve")
    champions = _champions(proposal.content["model"]) if proposal.kind == ModelPromoted.kind else None
    line = approve_proposal(
        *(who, number, reason, role),
        champions=champions,
        expected_proposed_us=seen_us,
        expected_levels=seen_levels,
    )
    echo(f"Proposal {line.id} is approved: {line.subject}.")


def _reviewed_at(who: "Context", line: "ProposalLine", proposed_at: str | None, verb: str) -> tuple[int, str | None]:
    """Return when the reviewed proposal was made; if it is not given, show the proposal and ask.

    Also return the text for the levels that were shown, `hash_of_levels`; None if none were computed.

    *verb*: what the person does with it. ConfigError without a terminal.
    """
    if proposed_at is not None:
        return parse_moment(proposed_at, "--proposed-at"), None
    shown = f"proposal {line.id} is {_proposed(line)}"
    if not sys.stdin.isatty():
        raise ConfigError(
            f"nothing was done: {shown.rstrip('.')}. Say that you looked at it: "
            f"--proposed-at {day_text(line.proposed_us)}"
        )
    echo(shown[0].upper() + shown[1:])
    levels = _show_change(who, line)
    typer.confirm(f"{verb.capitalize()} it?", abort=True)
    return line.proposed_us, levels


def _champions(model: str) -> "Champions":
    from fivefold.usecases.changes.promotions import RegistryChampions

    return RegistryChampions(open_registry(model))


def refuse(
    number: NumberArgument,
    reason: ReasonOption,
    proposed_at: ProposedAtOption = None,
    organisation: OrganisationOption = "default",
    token: DeciderTokenOption = "",
) -> None:
    """Refuse a proposal, or withdraw your own, after a check that it is the one you looked at."""
    from fivefold.usecases.changes.contents import REFUSERS, refuse_role
    from fivefold.usecases.changes.proposals import read_proposal, refuse_proposal
    from fivefold.usecases.shared.actors import Role

    who, role = person(organisation, token, (Role.INVESTIGATOR, Role.APPROVER, Role.PUBLISHER, Role.ADMIN))
    proposal = read_proposal(who, number, role)
    if proposal.proposed_by != who.actor.name:
        refuse_role(number, proposal.kind, role, REFUSERS)
    seen_us, _ = _reviewed_at(who, proposal, proposed_at, "refuse")
    line = refuse_proposal(who, number, reason, role, expected_proposed_us=seen_us)
    echo(f"Proposal {line.id} is {line.state}: {line.subject}.")


def backtests(number: NumberArgument, organisation: OrganisationOption = "default", token: TokenOption = "") -> None:
    """Request the backtests of a proposal again, for example after the deciding rulesets changed."""
    from fivefold.usecases.changes.proposals import request_proposal_backtests

    line = request_proposal_backtests(person(organisation, token)[0], number)
    echo(f"Proposal {line.id}: backtests {_tested(line) or 'are not needed: no entity is affected'}.")


def sole_operator(reason: ReasonOption, organisation: OrganisationOption = "default") -> None:
    """Let one person approve their own proposals, for a trial.

    Possible only before two people have decided on anything.
    """
    from fivefold.usecases.accounts.second_person import allow_sole_operator

    allow_sole_operator(acting_in(organisation), reason)
    echo(f"One person may approve what they proposed in {organisation}; the audit log records it.")


def two_people(reason: ReasonOption, organisation: OrganisationOption = "default") -> None:
    """Require two people from now on."""
    from fivefold.usecases.accounts.second_person import require_two_people

    require_two_people(acting_in(organisation), reason)
    echo(f"Two people are needed in {organisation} from now on.")


PROPOSALS = command_group(
    "Changes of what decides: one person proposes, another approves. Each has their own token.",
    {
        "list": list_,
        "show": show,
        "order": order,
        "switch": switch,
        "rollback": rollback,
        "add-list": add_list,
        "retire-policy": retire_policy,
        "settings": settings,
        "approve": approve,
        "refuse": refuse,
        "backtests": backtests,
        "sole-operator": sole_operator,
        "two-people": two_people,
    },
)
