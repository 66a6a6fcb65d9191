"""One proposed change: its content, who is affected, its backtests, and the second person's decision."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fivefold.console.accounts.settings import NUMBERS, SWITCHES
from fivefold.console.queue.place import QueueBar, queue_bar
from fivefold.console.rendering import attribute, moment, words
from fivefold.console.rulesets.backtest import MoveMatrix, matrix_of
from fivefold.console.texts import text
from fivefold.console.visit import Answer, Redirect, Rendered, Visit, existing_number, whole_number
from fivefold.domain.errors import ConfigError
from fivefold.domain.money import rate_text
from fivefold.domain.paging import Part
from fivefold.usecases.accounts.settings import read_settings
from fivefold.usecases.changes import proposals
from fivefold.usecases.changes.backtests import report_of, subject_of_backtest
from fivefold.usecases.changes.contents import (
    REFUSERS,
    ListVersionsAdded,
    ModelPromoted,
    RulesetRolledBack,
    SettingsChanged,
    TagChanged,
    approvers_of,
)
from fivefold.usecases.changes.list_overview import ProposedVersion, count_versions, proposed_versions
from fivefold.usecases.changes.proposals import (
    ProposalBacktest,
    ProposalLine,
    finished_backtests,
)
from fivefold.usecases.changes.reach import ChangeNow, HeldUntil, change_now, hash_of_levels, held_until
from fivefold.usecases.levels.entity_profile import TagLine, list_tags
from fivefold.usecases.rulesets.read import read_ruleset
from fivefold.usecases.shared.actors import Role


@dataclass(frozen=True)
class Line:
    """A label and its value."""

    label: str
    value: str


_REPLACES: Mapping[str, Sequence[str]] = {
    "order": ("families",),
    "rates": ("source",),
    "tag_ends": ("until_us", "ended"),
    "newest_screening": ("at_us",),
    "active": ("version",),
    "opened": ("opened_us",),
    "closed": ("closed_us",),
}
"""The names in a content of what is shown as replaced, if they differ."""


def change_lines(content: Mapping[str, Any], reach: Mapping[str, Any], labels: Mapping[str, str]) -> list[Line]:
    """Write what a change replaces and by what, and then the rest of its content; *labels*: of settings, by name.

    >>> change_lines({"two": True}, {"two": {"from": False, "to": True}}, {"two": "Two people"})
    [Line(label='Two people', value='from no to yes')]
    >>> change_lines({"family": "retail", "version": 1}, {"active": {"from": 2, "to": 1}}, {})[0]
    Line(label='Version that decides', value='from 2 to 1')
    >>> [line.label for line in change_lines({"version": 1}, {"active": {"from": 2, "to": 1}}, {})]
    ['Version that decides']
    """
    replaced = _replaced(reach)
    shown = {each for name in replaced for each in _REPLACES.get(name, (name,))}
    lines = [
        Line(_label(name, labels), _from_to(value["from"], value["to"]))
        for name, value in replaced.items()
        if value["from"] != value["to"]
    ]
    rest = {name: value for name, value in content.items() if name not in shown}
    return [
        *lines,
        *_rate_lines(replaced.get("rates", {})),
        *(Line(_label(name, labels), _value(name, value)) for name, value in rest.items() if value is not None),
    ]


def reach_lines(reach: Mapping[str, Any], labels: Mapping[str, str], held_until: HeldUntil | None = None) -> list[Line]:
    """Write who is affected by a change, as far as that was counted; without a count there is no line.

    *held_until*: the entities whose levels a cooldown holds now, and until when.

    >>> reach_lines({"cap": {"from": 10, "to": 5, "overridden_below": 0, "with_level": 281}}, {"cap": "Cap"})
    [Line(label='Cap', value='overrides now hold 0 of 281 customers below the rules')]
    >>> fall = {"entity_type": "customer", "external_id": "a", "before": ["high"] * 3, "after": ["low", "low", "low"]}
    >>> print(reach_lines({"falls": [fall]}, {})[0].value)
    by the rules: level from high to low; floor from high to low; floor that no override goes below from high to low. \
A cooldown or an override may hold the level longer.
    >>> reach_lines({"falls": [fall]}, {}, {("customer", "a"): 1_782_907_200_000_000})[1].label
    'The cooldown holds the level of a until'
    >>> reach_lines({"falls": [fall | {"after": ["high", "low", "high"]}]}, {})[0].value
    'by the rules: floor from high to low. The level stays high.'
    """
    replaced = _replaced(reach)
    counts = [Line(_label(name, labels), counted) for name, value in replaced.items() for counted in _counts(value)]
    others = {name: value for name, value in reach.items() if name not in replaced}
    return [
        *counts,
        *(line for name, value in others.items() for line in _reached(name, value, reach, held_until or {})),
    ]


def _replaced(reach: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {name: value for name, value in reach.items() if isinstance(value, Mapping) and {"from", "to"} <= {*value}}


def _label(name: str, labels: Mapping[str, str]) -> str:
    if name == "newest_since":
        return text("Newest version of the list, since")
    if name == "active":
        return text("Version that decides")
    if name == "on":
        return text("Decides")
    if name == "per_second":
        return text("Customers assessed again per second")
    return text(labels[name]) if name in labels else words(name.removesuffix("_us"))


def _from_to(before: Any, after: Any) -> str:
    return text("from {before} to {after}", before=_or_nothing(before), after=_or_nothing(after))


def _or_nothing(value: Any) -> str:
    return text("nothing") if value in (None, [], "") else attribute(value)


def _value(name: str, value: Any) -> str:
    if name.endswith("_us"):
        return moment(value)
    if name == "rates":
        rates = json.loads(value)
        currencies = ", ".join(sorted({currency for currency, _, _ in rates}))
        if len(rates) == 1:
            return text("1 rate of {currencies}", currencies=currencies)
        return text("{count} rates of {currencies}", count=attribute(len(rates)), currencies=currencies)
    return attribute(value)


def _rate_lines(value: Mapping[str, Any]) -> Iterator[Line]:
    """Write which rates a table changes, lost ones first; an earlier release did not store this."""
    for each in value.get("currencies", ()):
        before = _rate(each["from"])
        if each["to"] is not None:
            change = text("from {before} to {after}", before=before, after=_rate(each["to"]))
        elif each["transactions"] == 1:
            change = text("from {before} to none; 1 stored transaction uses it", before=before)
        else:
            count = attribute(each["transactions"])
            change = text("from {before} to none; {count} stored transactions use it", before=before, count=count)
        yield Line(each["currency"], change)
    if others := value.get("others"):
        one, count = text("1 more rate differs"), attribute(others)
        yield Line(text("Other currencies"), one if others == 1 else text("{count} more rates differ", count=count))
    if earlier := value.get("earlier"):
        one, count = text("1 differs"), attribute(earlier)
        yield Line(text("Rates of other days"), one if earlier == 1 else text("{count} differ", count=count))


def _rate(rate: Mapping[str, str] | None) -> str:
    if rate is None:
        return text("none")
    return text("{rate} of {day}", rate=rate_text(float(rate["rate"])), day=attribute(rate["day"]))


def _counts(value: Mapping[str, Any]) -> Iterator[str]:
    """Write the counts of a setting."""
    counted = {name: attribute(each) for name, each in value.items()}
    if "with_level" in value:
        yield text("overrides now hold {overridden_below} of {with_level} customers below the rules", **counted)
    if "older_after" in value:
        yield text(
            "{older_before} customers were added longer ago than the present days,"
            " {older_after} longer ago than the new days",
            **counted,
        )
    if "active_below" in value:
        yield text(
            "active versions with less coverage: {versions}", versions=attribute(value["active_below"]) or text("none")
        )


def _reached(  # noqa: C901, PLR0912 (one for each name)
    name: str, value: Any, reach: Mapping[str, Any], held_until: HeldUntil
) -> Iterator[Line]:
    match name, value:
        case "entities", Mapping():
            if not value:
                # A table of rates reaches everybody; an earlier release did not count them.
                yield Line(text("Assessed again"), text("all customers") if "rates" in reach else text("no customer"))
            for kind, count in value.items():
                yield Line(
                    text("Assessed again"), text("{count} of the type {type}", count=attribute(count), type=kind)
                )
        case "decisions", Mapping():
            label = text("Its decisions in the last {days} days", days=reach["days"])
            yield Line(
                label, ", ".join(f"{words(each)}: {attribute(count)}" for each, count in value.items()) or text("none")
            )
        case "days", _:
            return
        case "falls", []:
            yield Line(text("Levels"), text("none falls"))
        case "falls", list():
            for fall in value:
                who = fall["entity_type"], fall["external_id"]
                yield Line(f"{words(who[0])} {who[1]}", _fall(fall))
                if (until_us := held_until.get(who)) is not None:
                    yield Line(text("The cooldown holds the level of {name} until", name=who[1]), moment(until_us))
        case ("level", _):
            yield Line(text("Level by the override"), words(value))
        case ("rules_level", _):
            yield Line(text("Level without the override"), text("none") if value is None else words(value))
        case ("gate", _):
            yield Line(text("Result of the gate"), value or text("nothing"))
        case "money", list():
            for warning in value:
                yield Line(text("Money"), warning)
        case _:
            yield Line(words(name), attribute(value))


def _fall(fall: Mapping[str, Any]) -> str:
    """Write how far a level or a floor would fall by the rules, and what else may hold the level."""
    if fall["before"] is None or fall["after"] is None:
        return text("how far it would fall cannot be computed") + (f": {fall['why']}" if fall["why"] else "")
    names = (text("level"), text("floor"), text("floor that no override goes below"))
    parts = zip(names, fall["before"], fall["after"], strict=True)
    falls = "; ".join(f"{what} {_from_to(before, after)}" for what, before, after in parts if before != after)
    if fall["before"][0] == fall["after"][0]:
        return text("by the rules: {falls}. The level stays {level}.", falls=falls, level=_or_nothing(fall["after"][0]))
    return text("by the rules: {falls}. A cooldown or an override may hold the level longer.", falls=falls)


MEMBERS_SHOWN: Final = 200
"""Members that differ in a version of a list, on the page of its change."""


@dataclass(frozen=True, kw_only=True)
class RollBack:
    """The return of a ruleset to an earlier version.

    Attributes:
        ruleset: its name.
        before: the version that decides until then; None if that is no longer known.
        after: the version that decides then.
        releases: levels that the withdrawn version raised are released at once; otherwise the cooldown holds them.
        per_second: how many customers are assessed again per second.
    """

    ruleset: str
    before: int | None
    after: int
    releases: bool
    per_second: int


@dataclass(frozen=True, kw_only=True)
class Moves:
    """Who would move where, by a backtest; `matrix` is by the rules alone, `later` after the cooldown."""

    backtest: int
    entity_type: str
    matrix: MoveMatrix
    later: MoveMatrix | None


@dataclass(frozen=True, kw_only=True)
class ProposalPage:
    """One proposal.

    Attributes:
        is_own: the person proposed it, so they can withdraw it, not refuse it.
        approvers: the roles that may approve it.
        may_refuse: the person may refuse or withdraw it.
        at_machine: it is approved on the machine with the registry of models, not here.
        waits: a backtest of it is not done, so it cannot be approved yet.
        roll_back: the ruleset and its versions; None for other kinds of changes.
        moves: who would move where, by each finished backtest.
        list_versions: of a list, with what each changes, and the address of more; empty for other kinds of changes.
        versions_before: how many versions the list has now; 0 for other kinds of changes.
        changes: what it replaces and by what, and the rest of its content.
        reached: who is affected, as far as counted; for an open change about one customer as of now.
        reached_then: the same as of the proposal, if its levels were different.
        now: the present effect of an open change about one customer; None for others.
        levels: its effect as one text, which is sent with an approval; empty if that is not known.
        tag: the tag that it would change, as the customer has it now; None for other kinds of changes.
        beside: the numbers of other waiting changes of the same subject.
        backtests: for each type the newest one, and the newest finished one.
        backtests_done: the numbers of the finished ones, which count, separated by spaces; 0 for none.
        bar: the item of the queue that the person came for.
    """

    bar: QueueBar | None
    proposal: ProposalLine
    address: str
    is_own: bool
    approvers: tuple[Role, ...]
    may_refuse: bool
    at_machine: bool
    waits: bool
    roll_back: RollBack | None
    moves: tuple[Moves, ...]
    list_versions: tuple[tuple[ProposedVersion, str | None], ...]
    versions_before: int
    changes: Sequence[Line]
    reached: Sequence[Line]
    reached_then: Sequence[Line]
    now: ChangeNow | None
    levels: str
    tag: TagLine | None
    beside: tuple[int, ...]
    backtests: tuple[ProposalBacktest, ...]
    backtests_done: str


def show_proposal(visit: Visit) -> Rendered:
    """Show a proposal to people who may see its kind."""
    proposal = proposals.read_proposal(visit, _number(visit), visit.role)
    done = finished_backtests(visit, proposal.id)
    labels = {**NUMBERS, **SWITCHES} if proposal.kind == SettingsChanged.kind else {}
    now = change_now(visit, proposal.id)
    reach = {**proposal.reach, **(now.reach if now else {})}
    levels = hash_of_levels(reach)
    has_moved = levels != hash_of_levels(proposal.reach)
    is_own = proposal.proposed_by == visit.actor.name
    page = ProposalPage(
        bar=queue_bar(visit),
        proposal=proposal,
        address=visit.path,
        is_own=is_own,
        approvers=approvers_of(proposal.kind),
        may_refuse=is_own or visit.role in approvers_of(proposal.kind, REFUSERS),
        at_machine=proposal.kind == ModelPromoted.kind,
        waits=any(each.state in {"queued", "running"} for each in proposal.backtests),
        roll_back=_roll_back(visit, proposal, done),
        moves=_moves(visit, proposal, done),
        list_versions=_list_versions(visit, proposal),
        versions_before=count_versions(visit, proposal.content["name"]) if _is_of_list(proposal) else 0,
        changes=change_lines(proposal.content, proposal.reach, labels),
        reached=reach_lines(reach, labels, held_until(visit, reach) if proposal.state == "proposed" else None),
        reached_then=reach_lines(proposal.reach, labels) if has_moved else (),
        now=now,
        levels=levels if now and now.reach else "",
        tag=_tag(visit, proposal) if now else None,
        beside=proposals.waiting_beside(visit, proposal.id, visit.role),
        backtests=tuple(sorted({*proposal.backtests, *done}, key=lambda each: (each.entity_type, -each.id))),
        backtests_done=" ".join(str(each.id) for each in done) or "0",
    )
    title = text("Change {number}", number=proposal.id)
    return Rendered(template="changes/proposal.html", title=title, page=page)


def _tag(visit: Visit, proposal: ProposalLine) -> TagLine | None:
    """Return the tag that a change is about, with who set it and why, for people who may read tags."""
    type_name, external_id = proposal.entity_type, proposal.external_id
    may_read = visit.may("GET /v1/entities/{type}/{external_id}/tags")
    if proposal.kind != TagChanged.kind or type_name is None or external_id is None or not may_read:
        return None
    return next(iter(list_tags(visit, type_name, external_id, Part(1), proposal.content["tag"])), None)


def _roll_back(visit: Visit, proposal: ProposalLine, done: Sequence[ProposalBacktest]) -> RollBack | None:
    if proposal.kind != RulesetRolledBack.kind:
        return None
    content = proposal.content
    return RollBack(
        ruleset=content["family"],
        before=_version_before(visit, proposal, done),
        after=content["version"],
        releases=content["release"],
        per_second=content["per_second"],
    )


def _version_before(visit: Visit, proposal: ProposalLine, done: Sequence[ProposalBacktest]) -> int | None:
    """Return the version that a roll-back withdraws: the deciding one, or the one that its backtest compared."""
    family = proposal.content["family"]
    if proposal.state == "proposed":
        active = read_ruleset(visit, family).active
        return None if active is None else active.number
    for each in done:
        before = subject_of_backtest(visit, each.id).before
        return next((ruleset.version for ruleset in before if ruleset.name == family), None)
    return None


def _is_of_list(proposal: ProposalLine) -> bool:
    return proposal.kind == ListVersionsAdded.kind


def _list_versions(visit: Visit, proposal: ProposalLine) -> tuple[tuple[ProposedVersion, str | None], ...]:
    if not _is_of_list(proposal):
        return ()

    def part_of(since_us: int) -> Part:
        return visit.part(f"differences-{since_us}", MEMBERS_SHOWN, beside=True)

    return tuple(
        (version, visit.next_of(f"differences-{version.since_us}", version.difference.changes, beside=True))
        for version in proposed_versions(visit, proposal.content["list"], part_of)
    )


def _moves(visit: Visit, proposal: ProposalLine, done: Sequence[ProposalBacktest]) -> tuple[Moves, ...]:
    """Read the matrices of a roll-back's backtests, for people who may read backtests."""
    if proposal.kind != RulesetRolledBack.kind or not done or not visit.may("GET /v1/backtests/{backtest}"):
        return ()
    levels, moves = read_settings(visit).levels, []
    for each in done:
        report = report_of(visit, each.id)
        matrix = matrix_of(report, levels)
        if matrix is not None:
            later = matrix_of(report, levels, "later")
            moves.append(Moves(backtest=each.id, entity_type=each.entity_type, matrix=matrix, later=later))
    return tuple(moves)


def _number(visit: Visit) -> int:
    return existing_number(visit.parts["proposal"], text("proposal"))


def approve(visit: Visit) -> Answer:
    """Approve a change that another person proposed, which carries it out; a roll-back needs a look at who moves."""
    proposal = proposals.read_proposal(visit, _number(visit), visit.role)
    if proposal.kind == RulesetRolledBack.kind and proposal.state == "proposed" and "confirmed" not in visit.form:
        raise ConfigError(text("confirm that you have checked who moves"))
    backtests = visit.typed("seen_backtests", text("What the page showed"))
    proposals.approve_proposal(
        visit,
        _number(visit),
        visit.typed("reason", text("Reason")),
        visit.role,
        expected_backtests={whole_number(each, text("Backtest")) for each in backtests.split()} - {0},
        expected_versions=visit.shown_number("versions"),
        expected_proposed_us=visit.shown_moment("proposed"),
        expected_levels=visit.form.get("seen_levels") or None,
    )
    return Redirect(visit.path + visit.trail, "proposal-approved")


def refuse(visit: Visit) -> Answer:
    """Refuse a change that another person proposed, or withdraw one's own."""
    proposal = proposals.read_proposal(visit, _number(visit), visit.role)
    reason, seen_us = visit.typed("reason", text("Reason")), visit.shown_moment("proposed")
    proposals.refuse_proposal(visit, _number(visit), reason, visit.role, expected_proposed_us=seen_us)
    is_own = proposal.proposed_by == visit.actor.name
    return Redirect(visit.path + visit.trail, "proposal-withdrawn" if is_own else "proposal-refused")


def ask_for_backtests(visit: Visit) -> Answer:
    """Request the backtests again, for example after a change of what decides."""
    proposals.request_proposal_backtests(visit, _number(visit))
    return Redirect(visit.path + visit.trail, "backtest-requested")
