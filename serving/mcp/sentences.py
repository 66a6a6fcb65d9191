"""Writes the sentence with which a tool's answer begins, from the same fields that follow it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fivefold.domain.money import rounded_words
from fivefold.domain.segments import score_text
from fivefold.domain.text import count_text
from fivefold.risk.engine.assessments import NOT_IN_FULL
from fivefold.risk.governance.what_if.hold import holds_sentence

Content = Mapping[str, Any]


@dataclass(frozen=True)
class ListPart:
    """Rows of a list.

    Attributes:
        goes_on: whether earlier rows were answered before.
        is_followed: whether more rows follow.
    """

    rows: Sequence[Content]
    goes_on: bool = False
    is_followed: bool = False


NOT_ASSESSED: Final[Mapping[str, str]] = {
    "failed": "its last assessment failed",
    "unclassified": "no tier has the total of its last assessment",
    "undetermined": "it is unknown whether the ruleset applies",
    "not applicable": "no ruleset applies",
    "no ruleset": "no ruleset decides",
    "never assessed": "it was never assessed",
}
"""The meaning of each status other than `assessed`."""


def level_sentence(level: Content) -> str:
    """Describe a customer's level, since when it holds, its arithmetic, and what could not be computed.

    >>> of = {"external_id": "c1", "since": None, "may_move_down_on": None}
    >>> level_sentence({**of, "level": None, "status": "never assessed"})
    'c1 has no level: it was never assessed.'
    >>> level_sentence({**of, "level": "low", "status": "undetermined", "failing": True})
    'c1 is low. It is unknown whether the ruleset applies; nothing lowers the level meanwhile. The last attempt to \
compute it failed.'
    """
    status, name = level["status"], level["level"]
    gap = NOT_ASSESSED.get(status)
    parts = [f"{level['external_id']} {f'is {name}' if name else 'has no level'}"]
    if name is None:
        parts[0] += f": {gap or status}"
    elif level["since"]:
        parts[0] += f" since {_day(level['since'])}"
    if override := level.get("override"):
        parts.append(f"by an override ({override['reason']}); without it {level.get('rules_level') or 'no level'}")
    elif (reasons := level.get("reasons")) and name is not None:
        parts.append(reasons["line"])
    if gap is not None and name is not None:
        parts.append(f"{gap}; nothing lowers the level meanwhile" if status in NOT_IN_FULL and not override else gap)
    if kept_by := level.get("kept_by"):
        parts.append(f"these rulesets keep it as well, until it is known that they do not apply: {', '.join(kept_by)}")
    if level.get("failing"):
        newer = ", and something may have happened since" if level.get("refreshing") else ""
        parts.append(f"the last attempt to compute it failed{newer}")
    if level["may_move_down_on"]:
        parts.append(f"it may move to a lower level from {_day(level['may_move_down_on'])} on")
    if level.get("refreshing") and not level.get("failing"):
        parts.append("something happened since, and it is about to be computed again")
    return ". ".join([parts[0], *(part[:1].upper() + part[1:] for part in parts[1:])]) + "."


def value_sentence(who: str, value: Content | None) -> str:
    """Describe what a customer is worth, and which three indicators matter most.

    >>> value_sentence("c1", None)
    'The value model knows no value of c1: it never had one, or what was personal was erased.'
    >>> value_sentence("c", {"score": 4.2, "segment": "top", "expected_value": 8, "currency": "JPY", "as_of":
    ...     "2026-11-26T00:00:00Z", "horizon_days": 0, "breakdown": None, "unexplained": "Version 1 gave it."})
    'c scores 4.20 of 5 (top), expected to bring 8 JPY, as of 2026-11-26. It cannot be explained: Version 1 gave it.'
    """
    if value is None:
        return f"The value model knows no value of {who}: it never had one, or what was personal was erased."
    if value["score"] is None:
        why = value["unexplained"]
        return f"The value model knows no value of {who}.{' ' if why else ''}{why}"
    expected = f"{rounded_words(value['expected_value'], value['currency'])} {value['currency']}"
    days = f" in {value['horizon_days']} days" if value["horizon_days"] else ""
    sentence = (
        f"{who} scores {score_text(value['score'])} of 5 ({value['segment']}), expected to bring {expected}{days}"
    )
    sentence += f", as of {_day(value['as_of'])}."
    if value["breakdown"] is None:
        return f"{sentence} It cannot be explained: {value['unexplained'].rstrip('.')}."
    parts = sorted(value["breakdown"]["contributions"], key=lambda part: -abs(part["points"]))[:3]
    return f"{sentence} Most of it: " + "; ".join(part["sentence"].rstrip(".") for part in parts) + "."


def found_sentence(text: str, part: ListPart) -> str:
    """Describe how many customers were found, and name the first ones.

    >>> found_sentence("ann", ListPart([])), found_sentence("ann", ListPart([], goes_on=True))
    ('Nobody is found by ann.', 'Nobody else is found by ann.')
    """
    if not part.rows:
        return f"Nobody else is found by {text}." if part.goes_on else f"Nobody is found by {text}."
    return f"{_number(part, 'customer')} found by {text}: {_first(part)}."


def history_sentence(who: str, part: ListPart) -> str:
    """Describe how often a customer was assessed, and how the level moved.

    >>> history_sentence("c1", ListPart([])), history_sentence("c1", ListPart([], goes_on=True))
    ('c1 was never assessed.', 'No further assessment of c1.')
    """
    if not part.rows:
        return f"No further assessment of {who}." if part.goes_on else f"{who} was never assessed."
    moves = [f"{line['level'] or 'no level'} on {_day(line['at'])}" for line in part.rows if line["reached"]]
    sentence = f"{_number(part, 'assessment')} of {who}, the latest first"
    return (
        f"{sentence}. Levels reached: {', '.join(moves)}." if moves else f"{sentence}; the level did not move in them."
    )


def reasons_sentence(answer: Content) -> str:
    """Describe the arithmetic of an assessment.

    >>> reasons_sentence({"assessment": "1.1", "reasons": None, "gone": "was erased"})
    'Assessment 1.1: what it was made from was erased.'
    """
    reasons = answer["reasons"]
    text = f"what it was made from {answer['gone']}" if reasons is None else reasons["line"]
    return f"Assessment {answer['assessment']}: {text}."


def decision_sentence(decision: Content) -> str:
    """Describe what was decided, by which policy, and why."""
    policy = decision["policy"]
    sentence = f"Decision {decision['decision']} on {_day(decision['at'])} by {policy['name']} {policy['version']}"
    reasons = decision.get("reasons")
    return f"{sentence}: {decision['action']}." + ("" if reasons is None else f" {reasons['line']}.")


def decisions_sentence(who: str, part: ListPart) -> str:
    """Describe how many decisions there were, and what the latest was.

    >>> decisions_sentence("c1", ListPart([])), decisions_sentence("c1", ListPart([], goes_on=True))
    ('Nothing was decided on c1.', 'No further decision on c1.')
    >>> decisions_sentence("c1", ListPart([{"at": "2026-11-26T00:00:00Z", "line": "Allow"}], goes_on=True))
    '1 further decision on c1; the latest of these, on 2026-11-26: Allow.'
    """
    if not part.rows:
        return f"No further decision on {who}." if part.goes_on else f"Nothing was decided on {who}."
    latest = part.rows[0]
    which = f"{_latest(part)}, on {_day(latest['at'])}"
    return f"{_number(part, 'decision')} on {who}; {which}: {latest['line']}."


def flow_runs_sentence(who: str, part: ListPart) -> str:
    """Describe how many runs of flows there were, and where the latest ended or waits.

    >>> flow_runs_sentence("c1", ListPart([])), flow_runs_sentence("c1", ListPart([], goes_on=True))
    ('No flow was run for c1, or what was personal was erased.', 'No further run of a flow for c1.')
    """
    if not part.rows:
        return (
            f"No further run of a flow for {who}."
            if part.goes_on
            else f"No flow was run for {who}, or what was personal was erased."
        )
    latest = part.rows[0]
    shadow = "" if latest["acting"] else ", a shadow, which does nothing"
    sentence = f"{_number(part, 'run')} of flows for {who}; {_latest(part)}, of {latest['flow']} {latest['version']}"
    return f"{sentence} on {_day(latest['begun_at'])}{shadow}: {_came_to(latest)}."


def flow_run_sentence(run: Content) -> str:
    """Describe where a run ended or waits, what it did, and why, as far as the role sees it.

    >>> flow_run_sentence({"run": 7, "flow": "care", "version": 1, "state": "waiting", "at": "ask", "taken": []})
    'Run 7 of care 1: waiting at ask; it did nothing.'
    >>> broken = {"run": 8, "flow": "care", "version": 1, "at": None, "error": "ValueError"}
    >>> flow_run_sentence({**broken, "state": "quarantined", "taken": [{"action": "look"}]})
    'Run 8 of care 1: quarantined (given up, as: ValueError); it did: look.'
    """
    beginning = f"Run {run['run']} of {run['flow']} {run['version']}: {_came_to(run)}"
    actions = ", ".join(action["action"] for action in run["taken"])
    why = run.get("why")
    did = f"it did: {actions}" if actions else "it did nothing"
    return f"{beginning}; {did}." + (f" {why['line'].rstrip('.')}." if why else "")


def tried_sentence(tried: Content) -> str:
    """Describe where a trial of a flow ended or would ask, and why; nothing was done.

    >>> tried_sentence({"flow": "care", "version": 2, "external_id": "c1", "not_asked": "ask", "why": {"line": "So."}})
    'Tried on c1, care 2 would ask at ask: So.'
    """
    of = f"{tried['flow']} {tried['version']}" if tried["version"] else f"the draft of {tried['flow']}"
    did = f"would ask at {tried['not_asked']}" if tried["not_asked"] else "would come to an end"
    return f"Tried on {tried['external_id']}, {of} {did}: {tried['why']['line'].rstrip('.')}."


def proposal_sentence(proposal: Content) -> str:
    """Describe a change that waits for a person: another one, or the same where one decides alone.

    >>> proposal_sentence({"id": 4, "subject": "c1", "state": "proposed"})
    'Nothing is changed yet: a level would fall, so proposal 4 (c1) waits for a person to approve it.'
    """
    waits = "waits for a person to approve it" if proposal["state"] == "proposed" else f"is {proposal['state']}"
    whose = f"proposal {proposal['id']} ({proposal['subject']})"
    return f"Nothing is changed yet: a level would fall, so {whose} {waits}."


def override_sentence(override: Content) -> str:
    """Describe the level that is requested, and that another person decides.

    >>> override_sentence({"id": 3, "level": "high", "external_id": "c1", "state": "requested"})
    'Override 3 asks for high for c1: nothing changes until another person approves it.'
    """
    return (
        f"Override {override['id']} asks for {override['level']} for {override['external_id']}:"
        " nothing changes until another person approves it."
    )


def standing_sentence(who: str, standing: Content) -> str:
    """Describe the status and the limits that a customer has because of flows, and the next review.

    >>> standing_sentence("c1", {"status": None, "limits": [], "reviews": [], "erased_at": None})
    'Nothing stands about c1 because of a flow.'
    >>> standing_sentence("c1", {"status": None, "limits": [{"limit": "daily", "sets": "daily 50 EUR"}], "reviews": []})
    'c1: daily 50 EUR.'
    """
    parts = [standing["status"]] if standing["status"] else []
    parts += [str(limit["sets"]) for limit in standing["limits"]]
    parts += [f"to be reviewed by {_day(day)}" for day in standing["reviews"][:1]]
    if parts:
        return f"{who}: {'; '.join(parts)}."
    return _erased(who, standing["erased_at"]) or f"Nothing stands about {who} because of a flow."


def _came_to(run: Content) -> str:
    place = f"{run['state']} at {run['at']}" if run["at"] else str(run["state"])
    error = run.get("error")
    if error is None:
        return place
    again = {"queued": "to be tried again, as: ", "quarantined": "given up, as: "}.get(run["state"], "")
    return f"{place} ({again}{error})"


def what_if_sentence(who: str, answer: Content) -> str:
    """Describe what would move the level that the rules give: the first changes, or that none that is shown would.

    If another level is in force, the sentence names what holds it.

    >>> what_if_sentence("c1", {"what_if": None, "erased_at": None})
    'There is no assessment of c1 to look at.'
    >>> what_if_sentence("erased-1", {"what_if": None, "erased_at": "2026-12-26T00:00:00Z"})
    'What was personal of erased-1 was erased on 2026-12-26.'
    >>> change = {"factors": ["income"], "name": "income", "now": "5", "then": "7", "towards": None}
    >>> shown = {"wished": "low", "level": "high", "direction": "down", "held_by": None, "held_beneath": (),
    ...     "answers": [{"changes": [change], "held_until": "2026-12-26T00:00:00Z"}]}
    >>> what_if_sentence("c", {"what_if": shown}).partition(". ")[2]
    'But the level is held until 2026-12-26.'
    >>> what_if_sentence("c", {"what_if": {**shown, "level": "low", "wished": None, "held_by": "cooldown",
    ...     "level_in_force": "medium", "held_until": "2026-12-26T00:00:00Z"}})
    'By the rules c is at low, and there is none below it. The cooldown holds medium until 2026-12-26.'
    >>> what_if_sentence("c", {"what_if": {**shown, "level": None}})
    'The last assessment of c was not made in full, so nothing can be said.'
    >>> what_if_sentence("c", {"what_if": {**shown, "level": None, "held_by": "override", "level_in_force": "low",
    ...     "held_until": None}}).partition(". ")[2]
    'An override holds low.'
    """
    what_if = answer["what_if"]
    if what_if is None:
        return _erased(who, answer["erased_at"]) or f"There is no assessment of {who} to look at."
    if what_if["level"] is None:
        return f"The last assessment of {who} was not made in full, so nothing can be said.{_hold(what_if)}"
    hold = _hold(what_if)
    if what_if["wished"] is None:
        place = f"{what_if['level']}, and there is none {_beyond(what_if['direction'])}"
        return f"By the rules {who} is at {place}.{hold}"
    changes = [" and ".join(_change(each) for each in answer["changes"]) for answer in what_if["answers"][:3]]
    if not changes:
        return f"No change that can be shown, of one factor or of two, moves {who} to {what_if['wished']}.{hold}"
    more = len(what_if["answers"]) - len(changes)
    others = f"; there are {more} more" if more else ""
    moved = f"from {what_if['level']} to {what_if['wished']} with: {'; or '.join(changes)}{others}."
    sentence = f"By the rules {who} would move {moved}{hold}"
    held_until = max((answer["held_until"] or "" for answer in what_if["answers"][:3]), default="")
    return f"{sentence} But the level is held until {_day(held_until)}." if held_until else sentence


def _erased(who: str, erased_at: str | None) -> str:
    """Describe when personal data was erased; empty if it was not."""
    return f"What was personal of {who} was erased on {_day(erased_at)}." if erased_at else ""


def _hold(what_if: Content) -> str:
    """Describe what holds the level in force, and until when; empty if the rules alone give it."""
    if what_if["held_by"] is None:
        return ""
    holds = [(what_if["level_in_force"], what_if["held_by"], what_if["held_until"])]
    holds += [(each["level"], each["by"], each["until"]) for each in what_if["held_beneath"]]
    sentence = holds_sentence([(level, by, None if until is None else _day(until)) for level, by, until in holds])
    return f" {sentence}"


def levels_sentence(distribution: Content) -> str:
    """Describe how many entities are at each level, over all versions, overrides included, and how many at none.

    >>> levels_sentence({"entity_type": "customer", "entities": 0, "by_level": {}, "versions": (), "not_assessed": 0,
    ...     "failing": 0})
    '0 of type customer.'
    >>> version = {"failed": 0, "unclassified": 0, "undetermined": 3}
    >>> levels_sentence({"entity_type": "c", "entities": 9004, "by_level": {"high": 9000}, "versions": (version,),
    ...     "not_assessed": 1, "failing": 2})
    '9,004 of type c: 9,000 high, 3 without a level, 1 not assessed yet. The last assessment was not made in full: 3 \
undetermined. The last attempt failed: 2. A level that was there before is kept.'
    """
    everyone, new = distribution["entities"], distribution["not_assessed"]
    without = {"without a level": everyone - new - sum(distribution["by_level"].values()), "not assessed yet": new}
    parts = [f"{count:,} {level}" for level, count in distribution["by_level"].items()]
    parts += [f"{count:,} {state}" for state, count in without.items() if count]
    sentence = f"{everyone:,} of type {distribution['entity_type']}" + (f": {', '.join(parts)}." if parts else ".")
    broken = {status: sum(version[status] for version in distribution["versions"]) for status in sorted(NOT_IN_FULL)}
    counts = ", ".join(f"{count:,} {status}" for status, count in broken.items() if count)
    gaps = [f"The last assessment was not made in full: {counts}."] if counts else []
    gaps += [f"The last attempt failed: {failing:,}."] if (failing := distribution["failing"]) else []
    return " ".join([sentence, *gaps, "A level that was there before is kept."] if gaps else [sentence])


def changes_sentence(type_: str, migration: Content) -> str:
    """Describe how many entities rose and fell in a period, and which move was the most frequent.

    >>> changes_sentence("customer", {"since": "2026-11-01", "until": "2026-12-01", "levels": ["low", "high"],
    ...     "moves": 1, "cells": [{"from_level": None, "to_level": "high", "entities": 1274}]}).partition("lower, ")[2]
    '1,274 reached their first level, 0 have none any more; 1 move from a level to another or to none.'
    """
    order = {name: number for number, name in enumerate(migration["levels"], 1)}
    moved = [cell for cell in migration["cells"] or () if cell["from_level"] != cell["to_level"]]
    steps = [(order.get(cell["to_level"], 0) - order.get(cell["from_level"], 0), cell) for cell in moved]
    first = sum(cell["entities"] for cell in moved if cell["from_level"] is None)
    rose = sum(cell["entities"] for step, cell in steps if step > 0 and cell["from_level"] is not None)
    fell = sum(cell["entities"] for step, cell in steps if step < 0 and cell["to_level"] is not None)
    lost = sum(cell["entities"] for cell in moved if cell["to_level"] is None)
    sentence = f"From {_day(migration['since'])} until before {_day(migration['until'])}, of type {type_}: "
    if migration["cells"] is None:
        return f"{sentence}{migration['moves']:,} moves of levels, too many to count who stands where."
    sentence += f"{rose:,} stand higher, {fell:,} lower, {first:,} reached their first level, "
    sentence += f"{lost:,} have none any more; "
    sentence += f"{count_text(migration['moves'], 'move')} from a level to another or to none."
    between_levels = [cell for cell in moved if cell["from_level"] is not None]
    if not between_levels:
        return sentence
    most = max(between_levels, key=lambda cell: cell["entities"])
    return f"{sentence} Most often from {most['from_level']} to {most['to_level'] or 'no level'}: {most['entities']:,}."


def worth_sentence(value: Content) -> str:
    """Describe how many entities are in each segment, and what they are expected to bring."""
    parts = [
        f"{part['entities']:,} {part['segment'] or 'of unknown value'}" + _money(part["worth"])
        for part in value["segments"]
        if part["entities"]
    ]
    return f"{value['entities']:,} of type {value['type']}" + (f": {', '.join(parts)}." if parts else ".")


def _money(worth: Sequence[Content]) -> str:
    amounts = " and ".join(
        f"{rounded_words(money['amount'], money['currency'])} {money['currency']}" for money in worth
    )
    return f" ({amounts})" if amounts else ""


def _change(change: Content) -> str:
    towards = change["then"] or change["towards"]
    return f"{change['name']} {towards} (now {change['now']})"


def _beyond(direction: str) -> str:
    return "below it" if direction == "down" else "above it"


def _number(part: ListPart, of: str) -> str:
    """Count rows in words: in a list of several parts, those of this part alone.

    >>> _number(ListPart([{}]), "decision"), _number(ListPart([{}, {}], is_followed=True), "decision")
    ('1 decision', 'More than 2 decisions')
    >>> _number(ListPart([{}], goes_on=True, is_followed=True), "decision")
    'More than 1 further decision'
    """
    count = count_text(len(part.rows), f"further {of}" if part.goes_on else of)
    return f"More than {count}" if part.is_followed else count


def _latest(part: ListPart) -> str:
    return "the latest of these" if part.goes_on else "the latest"


def _first(part: ListPart) -> str:
    names = [row["external_id"] for row in part.rows]
    shown = ", ".join(names[:5])
    return f"{shown}, …" if len(names) > 5 or part.is_followed else shown


def _day(moment: str) -> str:
    return moment.partition("T")[0]
