"""Nobody changes alone what decides, and nobody approves it before its backtest on those whom it reaches."""

from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, ConflictError, NotFoundError
from fivefold.domain.paging import Part
from fivefold.store.tables.entities import ListVersionRow, OrganisationSettings
from fivefold.store.tables.rulesets import Activation, Family, Proposal
from fivefold.usecases.accounts.settings import SettingsChange, read_settings
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.changes import backtests
from fivefold.usecases.changes.asks import change_settings, order_families, put_list_version, roll_back, switch_family
from fivefold.usecases.changes.backtests import BACKTESTS, cancel_backtest, report_of
from fivefold.usecases.changes.facts import close_outdated
from fivefold.usecases.changes.proposals import (
    approve_proposal,
    finished_backtests,
    list_proposals,
    read_proposal,
    refuse_proposal,
    request_proposal_backtests,
)
from fivefold.usecases.levels.overrides import approve_override, request_override
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.jobs import run_next_job
from tests.store.audits import bind_unnamed
from tests.usecases.changes.two_people_stories import (
    CHANGES,
    LATER,
    Ask,
    People,
    levels,
    proposed,
    settings_change,
    states,
    work,
)
from tests.usecases.full_disk import little_space_for
from tests.usecases.governed import DAY, SECOND, agreed, audited, document, founded, rows_of

every_change = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
reaching = pytest.mark.parametrize("change", [CHANGES[name] for name in ("order", "switch", "list")])


def governing(engine: Engine) -> Any:
    """Everything that decides, as it is stored."""
    tables = (Family, ListVersionRow, OrganisationSettings, Activation)
    return [rows_of(engine, table) for table in tables]


@every_change
def test_asking_changes_nothing_until_another_person_approves(engine: Engine, three: People, change: Ask) -> None:
    before = governing(engine)
    outcome = change(engine, three[0])
    assert (outcome.result, governing(engine)) == (None, before)
    assert outcome.proposal is not None
    while run_next_job(engine, BACKTESTS, LATER):
        pass
    with pytest.raises(ConflictError, match=r"member:1 proposed \d+: another person approves it"):
        approve_proposal(Context(engine, three[0]), outcome.proposal.id, "I said so")
    assert close_outdated(engine, LATER) == 0
    assert governing(engine) == before
    done = approve_proposal(Context(engine, three[1]).at(LATER), outcome.proposal.id, "seen")
    assert (done.state, done.decided_by, done.decision_reason) == ("approved", "member:2", "seen")
    assert governing(engine) != before
    with pytest.raises(ConflictError, match="was approved already"):
        approve_proposal(Context(engine, three[2]), outcome.proposal.id, "again")
    assert [entry[1] for entry in audited(engine) if entry[1].startswith("proposal.")] == [
        "proposal.made",
        "proposal.approved",
    ]
    bind_unnamed(engine)
    verified = verify(engine, print)
    assert (verified.entries, verified.findings) == (len(audited(engine)), 0)


def test_an_order_is_withdrawn_once_there_is_another_ruleset(engine: Engine, three: People) -> None:
    """It names all rulesets of the type, each once."""
    asked = CHANGES["order"](engine, three[0]).proposal
    assert asked is not None
    save_draft(Context(engine, three[1]).at(LATER), document("third"))
    assert close_outdated(engine, LATER) == 1
    withdrawn = read_proposal(Context(engine, three[1]), asked.id)
    assert withdrawn.decision_reason is not None
    assert "the order of the rulesets was retail, lenient when this was proposed" in withdrawn.decision_reason


@every_change
@pytest.mark.parametrize("name", ["cli:ana", "token:7", "system"])
def test_an_account_or_a_program_is_no_person(engine: Engine, three: People, change: Ask, name: str) -> None:
    """The person of a token may have the machine's account too."""
    nobody = Actor(three[0].organisation_id, name)
    with pytest.raises(ConflictError, match=f"{name} is not a member"):
        change(engine, nobody)
    outcome = change(engine, three[0])
    assert outcome.proposal is not None
    while run_next_job(engine, BACKTESTS, LATER):
        pass
    with pytest.raises(ConflictError, match=f"{name} is not a member"):
        approve_proposal(Context(engine, nobody), outcome.proposal.id, "why")
    assert read_proposal(Context(engine, three[0]), outcome.proposal.id).state == "proposed"


@reaching
def test_without_a_backtest_of_those_whom_it_reaches_nobody_approves(
    engine: Engine, three: People, change: Ask
) -> None:
    outcome = change(engine, three[0])
    assert outcome.proposal is not None
    assert outcome.proposal.reach["entities"] == {"customer": 6}
    with pytest.raises(ConflictError, match="has no finished backtest on customer; read one first"):
        approve_proposal(Context(engine, three[1]), outcome.proposal.id, "unseen")
    agreed(engine, three[1], outcome, LATER)


def test_the_backtest_of_an_order_says_who_moves_across_families(engine: Engine, three: People) -> None:
    """Fifty customers went from high to low by one person, and no backtest on them was asked for."""
    outcome = CHANGES["order"](engine, three[0])
    assert run_next_job(engine, BACKTESTS, LATER)
    assert outcome.proposal is not None
    (made,) = read_proposal(Context(engine, three[1]), outcome.proposal.id).backtests
    assert (made.state, made.done, made.total) == ("done", 6, 6)
    report = report_of(Context(engine, three[1]), made.id)
    assert report["changed"] == {"alone": 4, "later": 0}, "for now the cooldown holds them"
    cells = {(cell["before"], cell["after"]): cell["entities"] for cell in report["backtest"]["alone"]}
    assert cells == {("low", "low"): 2, ("medium", "low"): 2, ("high", "low"): 2}
    first = report["backtest"]["movers"][0]
    assert (first["entity"], first["before"], first["after"], first["later"]) == ("c2", "high", "low", "high")
    assert (first["decided_before"], first["decided_after"], first["steps"]) == ("retail", "lenient", -2)
    assert report["backtest"]["draft"]["families"] == {"lenient": 6}
    agreed(engine, three[1], outcome, LATER)
    work(engine, LATER + SECOND)
    assert levels(engine) == [1, 2, 3, 1, 2, 3]
    work(engine, LATER + 31 * DAY)
    assert levels(engine) == [1] * 6, "as the backtest said"


def test_switching_the_last_ruleset_off_says_that_nobody_has_a_level(engine: Engine, three: People) -> None:
    agreed(engine, three[1], switch_family(Context(engine, three[0]).at(LATER), "lenient", False, "unused"), LATER)
    outcome = CHANGES["switch"](engine, three[0])
    run_next_job(engine, BACKTESTS, LATER)
    assert outcome.proposal is not None
    (made,) = read_proposal(Context(engine, three[0]), outcome.proposal.id).backtests
    report = report_of(Context(engine, three[0]), made.id)
    assert report["backtest"]["draft"]["alone"] == {"(no ruleset)": 6}
    assert report["changed"]["later"] == 6


def test_a_list_that_comes_into_force_later_is_tested_as_if_it_were_in_force(engine: Engine, three: People) -> None:
    asked = ("watched", LATER + 90 * DAY, ["NO"], "W", "us", "why")
    outcome = put_list_version(Context(engine, three[0]).at(LATER), *asked)
    run_next_job(engine, BACKTESTS, LATER)
    assert outcome.proposal is not None
    (made,) = read_proposal(Context(engine, three[0]), outcome.proposal.id).backtests
    cells = {
        (cell["before"], cell["after"]): cell["entities"]
        for cell in report_of(Context(engine, three[0]), made.id)["backtest"]["alone"]
    }
    assert cells == {("low", "medium"): 2, ("medium", "low"): 2, ("high", "high"): 2}


def test_a_backtest_of_what_decided_before_does_not_count(engine: Engine, three: People) -> None:
    first = CHANGES["order"](engine, three[0])
    while run_next_job(engine, BACKTESTS, LATER):
        pass
    agreed(engine, three[1], CHANGES["list"](engine, three[0]), LATER)
    assert first.proposal is not None
    with pytest.raises(ConflictError, match="what decides on customer has changed since the backtest of proposal"):
        approve_proposal(Context(engine, three[1]), first.proposal.id, "seen")
    request_proposal_backtests(Context(engine, three[2]).at(LATER), first.proposal.id)
    agreed(engine, three[1], first, LATER)


@pytest.mark.parametrize("off", [(), ("retail", "lenient")])
def test_what_a_page_shows_as_done_is_what_its_form_is_compared_with(
    engine: Engine, three: People, off: tuple[str, ...]
) -> None:
    """A later backtest that was cancelled hid the one that counts; with the rulesets off none was expected."""
    number, other = proposed(CHANGES["list"](engine, three[0])), Context(engine, three[2]).at(LATER)
    while run_next_job(engine, BACKTESTS, LATER):
        pass
    (done,) = finished_backtests(other, number)
    (later,) = request_proposal_backtests(Context(engine, three[0]).at(LATER), number).backtests
    cancel_backtest(Context(engine, three[0]).at(LATER), later.id, "not needed")
    for family in off:
        agreed(engine, three[2], switch_family(Context(engine, three[0]).at(LATER), family, False, "why"), LATER)
    assert [(each.id, each.state) for each in read_proposal(other, number).backtests] == [(later.id, "cancelled")]
    assert finished_backtests(other, number) == (done,)
    with pytest.raises(ConflictError, match=f"are {done.id} now; they were none when it was looked at"):
        approve_proposal(other, number, "seen", expected_backtests=())
    assert approve_proposal(other, number, "seen", expected_backtests=[done.id]).state == "approved"


def test_a_change_that_has_the_number_of_another_is_not_decided_in_its_place(engine: Engine, three: People) -> None:
    """A database that was restored gives the numbers of what was proposed since the backup again."""
    line, other = CHANGES["list"](engine, three[0]).proposal, Context(engine, three[2]).at(LATER)
    while run_next_job(engine, BACKTESTS, LATER):
        pass
    assert line is not None
    with pytest.raises(ConflictError, match=f"proposal {line.id} is another one now, of .*; what was looked at is of "):
        approve_proposal(other, line.id, "seen", expected_proposed_us=line.proposed_us - 1)
    assert approve_proposal(other, line.id, "seen", expected_proposed_us=line.proposed_us).state == "approved"
    wanted = CHANGES["switch"](engine, three[0]).proposal
    assert wanted is not None
    for who in (three[0], three[1]):  # to withdraw it, and to refuse it
        with pytest.raises(ConflictError, match=f"proposal {wanted.id} is another one now"):
            refuse_proposal(Context(engine, who), wanted.id, "no", expected_proposed_us=wanted.proposed_us - 1)
    assert refuse_proposal(other, wanted.id, "no", expected_proposed_us=wanted.proposed_us).state == "refused"


def test_a_list_that_no_ruleset_reads_needs_two_people_and_no_backtest(engine: Engine, three: People) -> None:
    outcome = put_list_version(Context(engine, three[0]).at(LATER), "another", LATER, ["X"], "A", "us", "for a policy")
    assert outcome.proposal is not None
    assert outcome.proposal.backtests == ()
    assert approve_proposal(Context(engine, three[1]), outcome.proposal.id, "yes").result is not None


def test_what_cannot_be_done_is_refused_when_it_is_proposed_and_leaves_nothing(engine: Engine, three: People) -> None:
    before = (governing(engine), audited(engine))
    for ask, error in (
        (lambda: order_families(Context(engine, three[0]), "customer", ["retail"], "why"), ConfigError),
        (lambda: switch_family(Context(engine, three[0]), "retail", True, "why"), ConflictError),
        (lambda: switch_family(Context(engine, three[0]), "nothing", True, "why"), NotFoundError),
        (
            lambda: put_list_version(Context(engine, three[0]).at(LATER), "watched", 0, [], "W", "us", "why"),
            ConflictError,
        ),
        (
            lambda: put_list_version(Context(engine, three[0]).at(LATER), "watched", LATER, [], "W", "us", " "),
            ConfigError,
        ),
        (
            lambda: change_settings(Context(engine, three[0]), SettingsChange(override_cap_percent=101), "why"),
            ConfigError,
        ),
        (lambda: change_settings(Context(engine, three[0]), SettingsChange(base_currency="USD"), "why"), ConflictError),
        (lambda: roll_back(Context(engine, three[0]), "retail", 1, "why"), ConflictError),
    ):
        with pytest.raises(error):
            ask()  # type: ignore[no-untyped-call]  # one of the above
    assert (governing(engine), audited(engine), rows_of(engine, Proposal)) == (*before, [])


def test_what_cannot_be_done_any_more_is_not_approved(engine: Engine, three: People) -> None:
    first, second = (CHANGES["switch"](engine, person) for person in three[:2])
    agreed(engine, three[2], first, LATER)
    assert second.proposal is not None
    with pytest.raises(ConflictError, match="retail is off already"):
        approve_proposal(Context(engine, three[2]), second.proposal.id, "why")


def test_a_proposal_is_refused_by_another_and_withdrawn_by_who_made_it(engine: Engine, three: People) -> None:
    for person, state in ((three[1], "refused"), (three[0], "withdrawn")):
        outcome = CHANGES["switch"](engine, three[0])
        assert outcome.proposal is not None
        done = refuse_proposal(Context(engine, person).at(LATER), outcome.proposal.id, "no")
        assert (done.state, [made.state for made in done.backtests]) == (state, ["cancelled"])
    assert run_next_job(engine, BACKTESTS, LATER) is False
    assert [line.state for line in list_proposals(Context(engine, three[0]))] == ["withdrawn", "refused"]
    assert list_proposals(Context(engine, three[0]), "proposed") == []
    with pytest.raises(ConfigError, match="there is no state 'open'; there are proposed, approved, refused, withdrawn"):
        list_proposals(Context(engine, three[0]), "open")
    assert len(list_proposals(Context(engine, three[0]), part=Part(9, (2,)))) == 1


def test_only_ones_own_proposals_are_there(engine: Engine, three: People) -> None:
    outcome = CHANGES["switch"](engine, three[0])
    other = founded(engine, "other")[1]
    assert outcome.proposal is not None
    number = outcome.proposal.id
    for ask in (
        lambda: read_proposal(Context(engine, other), number),
        lambda: approve_proposal(Context(engine, other), number, "why"),
        lambda: refuse_proposal(Context(engine, other), number, "why"),
        lambda: request_proposal_backtests(Context(engine, other), number),
    ):
        with pytest.raises(NotFoundError, match=f"there is no proposal {number}"):
            ask()
    assert list_proposals(Context(engine, other)) == []


def test_an_override_is_not_approved_by_an_account_of_the_machine(engine: Engine, three: People) -> None:
    asked = request_override(Context(engine, three[0]).at(LATER), "customer", "c0", "high", "a hint")
    with pytest.raises(ConflictError, match="cli:ana is not a member"):
        approve_override(Context(engine, Actor(three[0].organisation_id, "cli:ana")).at(LATER), asked.id)
    approve_override(Context(engine, three[1]).at(LATER), asked.id)


def test_a_change_is_not_approved_over_what_was_changed_by_other_means(engine: Engine, three: People) -> None:
    number = settings_change(engine, three[0], challenge_days=14)
    with Session(engine) as session, session.begin():
        session.get_one(OrganisationSettings, three[0].organisation_id).challenge_days = 20
    expected = f"the setting challenge days was 30 when this was proposed, and is 20 now; refuse proposal {number}"
    with pytest.raises(ConflictError, match=expected):
        approve_proposal(Context(engine, three[1]).at(LATER), number, "yes")
    again = settings_change(engine, three[0], challenge_days=14)
    assert states(engine, three[0]) == ["withdrawn", "proposed"], "the one that was proposed anew is in its place"
    approve_proposal(Context(engine, three[1]).at(LATER), again, "yes")
    assert read_settings(Context(engine, three[0])).challenge_days == 14


def test_an_order_is_not_approved_over_another_one(engine: Engine, three: People) -> None:
    save_draft(Context(engine, three[0]), document("third"))
    orders = ["third", "retail", "lenient"], ["retail", "third", "lenient"]
    context = Context(engine, three[0]).at(LATER)
    first, second = (order_families(context, "customer", names, "why") for names in orders)
    assert first.proposal is not None
    assert first.proposal.reach["order"] == {"from": ["retail", "lenient", "third"], "to": orders[0]}
    agreed(engine, three[1], first, LATER)
    line = read_proposal(Context(engine, three[1]), proposed(second))
    assert line.state == "withdrawn"
    assert "the order of the rulesets was retail, lenient, third when this was proposed" in str(line.decision_reason)


@every_change
def test_the_same_change_of_the_same_person_waits_once(engine: Engine, three: People, change: Ask) -> None:
    first = proposed(change(engine, three[0]))
    before = audited(engine)
    assert proposed(change(engine, three[0])) == first
    assert audited(engine) == before
    assert proposed(change(engine, three[1])) != first, "another person's is their own"
    refuse_proposal(Context(engine, three[0]).at(LATER), first, "not now")
    assert proposed(change(engine, three[0])) != first


def test_a_change_proposed_again_is_tested_again_where_no_backtest_counts(
    engine: Engine, three: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The approver would wait for a figure that never comes."""

    def failing(*_: object) -> None:
        raise ConflictError("the list is gone")

    ana = Context(engine, three[0])
    first = proposed(CHANGES["order"](engine, three[0]))
    with monkeypatch.context() as patched:
        patched.setattr(backtests, "run_proposal_backtest", failing)
        run_next_job(engine, BACKTESTS, LATER)
    assert [each.state for each in read_proposal(ana, first).backtests] == ["failed"]
    for again in (CHANGES["order"](engine, three[0]), CHANGES["order"](engine, three[0])):
        assert again.proposal is not None
        assert (again.proposal.id, [each.state for each in again.proposal.backtests]) == (first, ["queued"])
    assert run_next_job(engine, BACKTESTS, LATER)
    assert not run_next_job(engine, BACKTESTS, LATER), "one was requested, not two"
    before = audited(engine)
    assert proposed(CHANGES["order"](engine, three[0])) == first
    assert audited(engine) == before, "one that counts is not run again"
    agreed(engine, three[1], CHANGES["list"](engine, three[0]), LATER)
    outdated = CHANGES["order"](engine, three[0]).proposal
    assert outdated is not None
    assert (outdated.id, [each.state for each in outdated.backtests]) == (first, ["queued"])


def test_what_another_change_made_impossible_leaves_the_queue(engine: Engine, three: People) -> None:
    first, second = (CHANGES["switch"](engine, person) for person in three[:2])
    agreed(engine, three[2], first, LATER)
    line = read_proposal(Context(engine, three[2]), proposed(second))
    assert line.state == "withdrawn"
    assert line.decision_reason == f"proposal {proposed(first)} was approved: retail is off already"
    assert [each.state for each in line.backtests if each.state in {"queued", "running"}] == []
    assert list_proposals(Context(engine, three[2]), "proposed") == []


def test_the_leftover_of_a_change_undoes_no_later_one(engine: Engine, three: People) -> None:
    first, leftover = (settings_change(engine, person, challenge_days=25) for person in three[:2])
    approve_proposal(Context(engine, three[2]).at(LATER), first, "yes")
    later = settings_change(engine, three[0], challenge_days=40)
    approve_proposal(Context(engine, three[2]).at(LATER), later, "yes")
    with pytest.raises(ConflictError, match=f"proposal {leftover} was withdrawn already"):
        approve_proposal(Context(engine, three[2]).at(LATER), leftover, "yes")
    assert read_settings(Context(engine, three[0])).challenge_days == 40


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_disk_that_is_full_while_a_change_is_rehearsed_is_named(engine: Engine, three: People) -> None:
    before = governing(engine)
    with little_space_for(engine, "INSERT INTO list_versions"):
        CHANGES["list"](engine, three[0])
    assert (governing(engine), rows_of(engine, Proposal)) == (before, [])
    assert CHANGES["list"](engine, three[0]).proposal is not None
