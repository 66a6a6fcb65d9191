"""Policies: written by one, approved by another, one version in force, and nothing that could not be run."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from fivefold.domain.errors import ConfigError, ConflictError, InvalidRulesetError, NotFoundError
from fivefold.store.tables.events import Policy
from fivefold.usecases.changes import asks
from fivefold.usecases.changes.facts import close_outdated
from fivefold.usecases.changes.proposals import approve_proposal, read_proposal
from fivefold.usecases.decisions.policies import (
    approve_policy,
    check_policy,
    policies_of,
    propose_policy,
    refuse_policy,
    show_policy,
)
from fivefold.usecases.decisions.read import replay_decision
from fivefold.usecases.shared.context import Context
from tests.store.audits import bind_unnamed, findings_of, forged
from tests.usecases.at_once import retire_policy
from tests.usecases.decisions.deciding import CASH, CASH_OF_HIGH, WORTH, Desk, document, opened
from tests.usecases.governed import audited, rows_of, together

WHY = "Because of the test."


def propose(desk: Desk, *rules: Any, **parts: Any) -> Any:
    return propose_policy(Context(desk.bank.engine, desk.ana).at(desk.bank.now), document(rules, **parts), WHY, WHY)


def approve(desk: Desk, number: int = 1, actor: Any = None, name: str = "payments") -> Any:
    return approve_policy(Context(desk.bank.engine, actor or desk.ben).at(desk.bank.now), name, number, WHY)


def states(desk: Desk) -> dict[int, str]:
    return {line.number: line.state for line in policies_of(Context(desk.bank.engine, desk.ana))}


def test_a_version_is_written_by_one_and_approved_by_another(desk: Desk) -> None:
    made = propose(desk, CASH)
    assert (made.number, made.state, made.written_by, made.approved_by) == (1, "proposed", "member:1", None)
    with pytest.raises(ConflictError, match="member:1 wrote version 1 of payments; another person approves it"):
        approve(desk, actor=desk.ana)
    assert states(desk) == {1: "proposed"}
    line = approve(desk)
    assert (line.state, line.approved_by, line.approved_us) == ("active", "member:2", desk.bank.now)
    with pytest.raises(ConflictError, match="is active; what is proposed can be approved"):
        approve(desk)
    (row,) = rows_of(desk.bank.engine, Policy)
    assert row["document"] == document([CASH])
    assert row["content_hash"] == made.content_hash


def test_the_next_version_takes_the_place_of_the_one_before(desk: Desk) -> None:
    for number, rule in enumerate((CASH, CASH_OF_HIGH, WORTH), 1):
        assert propose(desk, rule).number == number
    approve(desk, 2)
    assert states(desk) == {3: "proposed", 2: "active", 1: "proposed"}
    with pytest.raises(ConflictError, match="version 2 of payments is active and newer; propose this one anew"):
        approve(desk, 1)
    approve(desk, 3)
    assert states(desk) == {3: "active", 2: "retired", 1: "proposed"}


def test_one_whose_text_was_changed_decides_nothing(desk: Desk) -> None:
    """The database's owner lets it allow what it blocks: it is neither approved, nor decides, nor replays."""
    engine = desk.bank.engine
    desk.publish(CASH)
    made = desk.decide()
    propose(desk, CASH_OF_HIGH)
    with forged(engine) as connection:
        connection.execute(text("UPDATE policies SET canonical = replace(canonical, '\"block\"', '\"allow\"')"))
    with pytest.raises(ConflictError, match="version 1 of the policy payments decides nothing: its text has another"):
        desk.decide()
    with pytest.raises(ConflictError, match="version 1 of the policy payments decides nothing"):
        replay_decision(Context(engine, desk.ana), made.number)
    with pytest.raises(ConflictError, match="version 2 of the policy payments decides nothing"):
        approve(desk, 2)


def test_policies_of_other_names_are_let_alone(desk: Desk) -> None:
    desk.publish(CASH)
    desk.publish(CASH, name="transfers")
    assert [(line.name, line.state) for line in policies_of(Context(desk.bank.engine, desk.ana))] == [
        ("payments", "active"),
        ("transfers", "active"),
    ]
    assert [line.name for line in policies_of(Context(desk.bank.engine, desk.ana), "transfers")] == ["transfers"]


def test_one_that_is_retired_decides_no_more(desk: Desk) -> None:
    desk.publish(CASH)
    assert desk.decide().action == "allow"
    retire_policy(Context(desk.bank.engine, desk.ana), "payments", 1, WHY)
    with pytest.raises(NotFoundError, match="there is no active policy 'payments'"):
        desk.decide()
    with pytest.raises(ConflictError, match="is retired; one that is active can be retired"):
        retire_policy(Context(desk.bank.engine, desk.ana), "payments", 1, WHY)
    assert propose(desk, CASH).number == 2, "the same may be proposed again"
    assert refuse_policy(Context(desk.bank.engine, desk.ana), "payments", 2, WHY).state == "retired"
    with pytest.raises(ConflictError, match="was refused or retired already"):
        refuse_policy(Context(desk.bank.engine, desk.ana), "payments", 2, WHY)
    with pytest.raises(ConflictError, match="is retired; what is proposed"):
        approve(desk, 2)


def test_an_active_one_is_not_retired_by_one_person(desk: Desk) -> None:
    desk.publish(CASH)
    desk.decide()
    engine = desk.bank.engine
    with pytest.raises(ConflictError, match="is active; to retire it is proposed, and approved"):
        refuse_policy(Context(engine, desk.ana), "payments", 1, WHY)
    outcome = asks.retire_policy(Context(engine, desk.ana).at(desk.bank.now), "payments", 1, WHY)
    assert outcome.proposal is not None
    assert outcome.proposal.reach == {"days": 90, "decisions": {"allow": 1}}
    with pytest.raises(ConflictError, match="another person approves"):
        approve_proposal(Context(engine, desk.ana), outcome.proposal.id, WHY)
    assert desk.decide().action == "allow"
    approve_proposal(Context(engine, desk.ben), outcome.proposal.id, WHY)
    with pytest.raises(NotFoundError, match="there is no active policy 'payments'"):
        desk.decide()


@pytest.mark.postgresql
def test_the_end_of_a_version_is_withdrawn_once_another_one_took_its_place(desk: Desk) -> None:
    desk.publish(CASH)
    engine, now = desk.bank.engine, desk.bank.now
    asked = asks.retire_policy(Context(engine, desk.ana).at(now), "payments", 1, WHY).proposal
    assert asked is not None
    assert close_outdated(engine, now) == 0
    desk.publish(CASH, CASH_OF_HIGH)
    assert close_outdated(engine, now) == 1
    withdrawn = read_proposal(Context(engine, desk.ana), asked.id)
    assert (withdrawn.state, withdrawn.decided_by) == ("withdrawn", "system")
    assert "version 1 of payments is retired" in str(withdrawn.decision_reason)
    assert close_outdated(engine, now) == 0


def test_the_same_is_not_proposed_twice(desk: Desk) -> None:
    propose(desk, CASH)
    with pytest.raises(ConflictError, match="version 1 of payments says the same, and is proposed"):
        propose_policy(Context(desk.bank.engine, desk.ben), f"# a remark\n{document([CASH])}", WHY, WHY)
    approve(desk)
    with pytest.raises(ConflictError, match="says the same, and is active"):
        propose(desk, CASH)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"above": 10000', '"above": "x"', "compares an amount of money with 'x'"),
        ('"action": "block"', '"action": "blokc"', "line [0-9]+: rule cash, action: there is no action blokc"),
        ('"operation": "text"', '"operation": "number"', "is number; of the type customer it is text"),
        ('"operation": "text"', '"frob": "text"', "transaction_fields, frob: is not a field of the type customer"),
        ('"high"\n', '"huge"\n', "levels: are low, medium, huge; those of the organisation are low, medium, high"),
        (
            '"when": {',
            '"when": {"field": "country", "in_list": "gone"}, "unless": {',
            "the list gone, which is missing",
        ),
        ('"otherwise"', '"else"', "else: is not a word"),
    ],
)
def test_what_could_not_be_run_is_refused_with_its_place(desk: Desk, old: str, new: str, told: str) -> None:
    text = document([CASH])
    assert old in text
    with pytest.raises(InvalidRulesetError, match=f"(?s)the policy is not valid:.*{told}"):
        propose_policy(Context(desk.bank.engine, desk.ana), text.replace(old, new), WHY, WHY)
    assert rows_of(desk.bank.engine, Policy) == []


def test_doubts_are_accepted_with_a_reason(desk: Desk) -> None:
    text = document([CASH, {**CASH, "id": "again"}])
    with pytest.raises(
        InvalidRulesetError, match=r"(?s)rule again: never decides: rule cash comes first.*accept_warnings"
    ):
        propose_policy(Context(desk.bank.engine, desk.ana), text, WHY)
    assert propose_policy(Context(desk.bank.engine, desk.ana), text, WHY, WHY).number == 1
    shown = show_policy(Context(desk.bank.engine, desk.ben), "payments", 1)
    assert shown.document == text
    assert any("never decides" in doubt.problem for doubt in shown.doubts), "who approves sees them"


def test_a_policy_is_looked_through_without_being_proposed(desk: Desk) -> None:
    found = check_policy(Context(desk.bank.engine, desk.ana), document([{**CASH, "action": "blokc"}]))
    assert [finding.problem for finding in found if finding.fatal] == [
        "there is no action blokc; there are allow, note, review, block"
    ]
    assert rows_of(desk.bank.engine, Policy) == []


@pytest.mark.parametrize("reason", ["", "  ", "x" * 2001])
def test_every_change_needs_a_reason(desk: Desk, reason: str) -> None:
    desk.publish(CASH)
    propose(desk, WORTH)
    for change in (
        lambda: propose_policy(Context(desk.bank.engine, desk.ana), document([CASH_OF_HIGH]), reason, WHY),
        lambda: approve_policy(Context(desk.bank.engine, desk.ben), "payments", 2, reason),
        lambda: retire_policy(Context(desk.bank.engine, desk.ana), "payments", 1, reason),
    ):
        with pytest.raises(ConfigError, match="reason must say why"):
            change()
    assert states(desk) == {2: "proposed", 1: "active"}


def test_a_policy_keeps_its_type(desk: Desk) -> None:
    desk.publish(CASH)
    desk.bank.add_type("account", {"country": "country"}, {"operation": "text"})
    with pytest.raises(ConflictError, match="of another entity type than account, for good"):
        propose(desk, CASH, entity_type="account")
    with pytest.raises(NotFoundError, match="there is no entity type 'session'"):
        propose(desk, CASH, entity_type="session")


def test_what_is_another_organisations_is_not_there(desk: Desk, engine: Engine) -> None:
    desk.publish(CASH)
    other = opened(engine, "other")
    assert policies_of(Context(engine, other.ana)) == []
    for ask in (
        lambda: approve_policy(Context(engine, other.ben), "payments", 1, WHY),
        lambda: retire_policy(Context(engine, other.ben), "payments", 1, WHY),
        lambda: show_policy(Context(engine, other.ben), "payments", 1),
    ):
        with pytest.raises(NotFoundError, match="there is no version 1 of a policy 'payments'"):
            ask()
    with pytest.raises(NotFoundError, match="there is no active policy 'payments'"):
        other.decide()
    other.publish(WORTH)
    assert states(desk) == {1: "active"}, "each has its own"


def test_every_change_is_recorded(desk: Desk) -> None:
    before = len(audited(desk.bank.engine))
    desk.publish(CASH)
    desk.publish(WORTH)
    retire_policy(Context(desk.bank.engine, desk.ana), "payments", 2, WHY)
    told = audited(desk.bank.engine)[before:]
    assert [(actor, action) for actor, action, _, _ in told] == [
        ("member:1", "policy.proposed"),
        ("member:2", "policy.approved"),
        ("member:1", "policy.proposed"),
        ("member:2", "policy.approved"),
        ("member:1", "policy.retired"),
    ]
    assert [details.get("replaced") for _, _, _, details in told] == [None, None, None, 1, None]
    assert told[4][3]["was"] == "active"
    assert "Because" not in json.dumps([details for *_, details in told]), "reasons stand among the values"
    bind_unnamed(desk.bank.engine)
    assert findings_of(desk.bank.engine) == []


def test_levels_are_never_chosen_anew_once_a_policy_speaks_of_them(desk: Desk) -> None:
    from fivefold.usecases.accounts.settings import choose_levels

    propose(desk, CASH)
    with pytest.raises(ConflictError, match="cannot change: a ruleset was written for them"):
        choose_levels(Context(desk.bank.engine, desk.ana), ["a", "b", "c"])


def test_of_two_who_approve_at_once_one_is_told(kind: str, tmp_path: Path) -> None:
    def prepare(engine: Engine) -> Desk:
        made = opened(engine)
        propose(made, CASH)
        propose(made, WORTH)
        return made

    def approving(number: int, name: str) -> Any:
        return lambda engine, desk: (
            approve_policy(Context(engine, type(desk.ben)(desk.bank.of, name)), "payments", number, WHY).number
        )

    made = together(
        kind, tmp_path, prepare, approving(1, "member:2"), approving(2, "member:3"), approving(2, "member:4")
    )
    numbers = [each for each in made if isinstance(each, int)]
    refused = [each for each in made if isinstance(each, ConflictError)]
    assert len(numbers) + len(refused) == 3, made
    assert numbers.count(2) == 1
