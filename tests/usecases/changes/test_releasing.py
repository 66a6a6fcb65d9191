"""A roll-back releases what only the withdrawn version raised, by two people, after a preview."""

import pytest
from sqlalchemy import Engine

from fivefold.domain.clock import from_microseconds
from fivefold.domain.errors import ConflictError
from fivefold.store.tables.levels import Assessment, LevelRelease, Standing, Transition
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.changes import facts
from fivefold.usecases.changes.asks import put_list_version, roll_back
from fivefold.usecases.changes.backtests import BACKTESTS, report_of
from fivefold.usecases.changes.facts import close_outdated
from fivefold.usecases.changes.proposals import approve_proposal, read_proposal, request_proposal_backtests
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.ingest.transactions import add_transactions
from fivefold.usecases.levels.replay import replay_assessment
from fivefold.usecases.rulesets.drafts import switch_family_in
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow
from fivefold.usecases.shared.jobs import run_next_job
from tests.usecases.changes.two_people_stories import People, decide, levels, work
from tests.usecases.governed import DAY, NOW, SECOND, agreed, document, founded, rows_of

STRICT = document(medium=30).replace("points: 30}", "points: 70}").replace("at_least: 100000}, points: 40", "at_least: 1}, points: 70").replace("expect: {level: medium}", "expect: {level: high, total: 140}").replace("total: 50", "total: 80")  # fmt: skip  # noqa: E501 (one line is read more easily)
"""By it everyone with any income is high."""
PAID = """\
  - id: paid
    title: Payments of a day
    category: transaction execution
    rationale: What moves.
    input: {count: transactions, over: 1 day}
    cases:
      - {when: {at_least: 1}, points: 60}
examples:
  - name: paid
    given: {country: NO, income: 0, transactions: [{time: 2024-12-01, amount: 300}]}
    as_of: 2024-12-01T12:00:00Z
    expect: {level: high, cases: {paid: 1}}
"""
LATER = NOW + DAY


@pytest.fixture
def three(engine: Engine) -> People:
    """Six customers at 1, 2 and 3 for a day; then the strict version raises all of them to 3."""
    three = founded(engine)
    put_list_version(Context(engine, three[0]).at(NOW), "watched", 0, ["IR"], "Watched", "our own")
    rows = [EntityRow(f"c{one}", {"country": ("NO", "IR", "KP")[one % 3], "income": 5.0}) for one in range(6)]
    put_entities(Context(engine, three[0]).at(NOW), "customer", rows)
    decide(engine, three, document(), "retail")
    work(engine, NOW + SECOND)
    assert levels(engine) == [1, 2, 3, 1, 2, 3]
    decide_again(engine, three)
    work(engine, LATER + SECOND)
    assert levels(engine) == [3] * 6
    return three


def decide_again(engine: Engine, three: People, text: str = STRICT, number: int = 2, now_us: int = LATER) -> None:
    from fivefold.usecases.changes.backtests import request_backtest
    from fivefold.usecases.rulesets.activate import activate
    from fivefold.usecases.rulesets.commit import commit
    from fivefold.usecases.rulesets.drafts import save_draft

    save_draft(Context(engine, three[0]), text)
    commit(Context(engine, three[0]).at(now_us), "retail", number, "as it is")
    request_backtest(Context(engine, three[0]).at(now_us), "retail", number)
    while run_next_job(engine, BACKTESTS, now_us):
        pass
    activate(Context(engine, three[2]).at(now_us), "retail", number, "stricter", 1000)


def back(engine: Engine, three: People, now_us: int, *, release: bool = True) -> dict[str, int]:
    """Roll back, by two people; give what the preview said."""
    outcome = roll_back(Context(engine, three[0]).at(now_us), "retail", 1, "too strict", 1000, release=release)
    assert run_next_job(engine, BACKTESTS, now_us)
    assert outcome.proposal is not None
    (made,) = read_proposal(Context(engine, three[1]), outcome.proposal.id).backtests
    assert made.state == "done", made.error
    report = report_of(Context(engine, three[1]), made.id)
    agreed(engine, three[1], outcome, now_us)
    cells = {(cell["before"], cell["after"]): cell["entities"] for cell in report["backtest"]["later"]}
    return {**report.get("released", {}), "down": sum(count for (a, b), count in cells.items() if a != b)}


@pytest.mark.postgresql
def test_a_roll_back_is_not_approved_over_a_version_that_decides_since(engine: Engine, three: People) -> None:
    """It was proposed because of the second version; with a new backtest it would withdraw the third one."""
    now_us = LATER + DAY
    outcome = roll_back(Context(engine, three[0]).at(now_us), "retail", 1, "too strict", 1000, release=True)
    assert outcome.proposal is not None
    assert outcome.proposal.reach["active"] == {"from": 2, "to": 1}
    decide_again(engine, three, STRICT.replace("cooldown: 30", "cooldown: 20"), 3, now_us + SECOND)
    number = outcome.proposal.id
    request_proposal_backtests(Context(engine, three[0]).at(now_us), number)
    assert run_next_job(engine, BACKTESTS, now_us)
    expected = f"the version that decides was 2 when this was proposed, and is 3 now; refuse proposal {number}"
    with pytest.raises(ConflictError, match=expected):
        approve_proposal(Context(engine, three[1]).at(now_us), number, "yes")
    assert close_outdated(engine, now_us + SECOND) == 1
    withdrawn = read_proposal(Context(engine, three[1]), number)
    assert (withdrawn.state, withdrawn.decided_by) == ("withdrawn", "system")
    assert close_outdated(engine, now_us + SECOND) == 0


def test_a_roll_back_stays_open_without_a_lock_while_its_ruleset_is_off(
    engine: Engine, three: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same version decides once it is on again; a worker looks every few seconds."""
    now_us, publisher = LATER + DAY, Context(engine, three[0])
    outcome = roll_back(publisher.at(now_us), "retail", 1, "too strict", 1000, release=True)
    assert outcome.proposal is not None
    with publisher.writing() as session:
        switch_family_in(session, publisher, "retail", False, "for a day", 1000, now_us + SECOND)
    locked: list[object] = []
    monkeypatch.setattr(facts, "lock_deciding", lambda *of: locked.append(of))
    assert close_outdated(engine, now_us + SECOND) == 0
    assert (read_proposal(publisher, outcome.proposal.id).state, locked) == ("proposed", [])


def test_without_a_release_the_cooldown_holds_what_the_withdrawn_version_raised(engine: Engine, three: People) -> None:
    assert back(engine, three, LATER + DAY, release=False) == {"down": 0}
    work(engine, LATER + DAY + SECOND)
    assert levels(engine) == [3] * 6
    assert rows_of(engine, LevelRelease) == []


def test_with_one_everyone_stands_as_if_it_had_never_decided(engine: Engine, three: People) -> None:
    entered = {1: NOW + SECOND, 2: NOW + SECOND}
    assert back(engine, three, LATER + DAY) == {"raised": 6, "released": 4, "unknown": 0, "down": 4}
    assert levels(engine) == [3] * 6, "nobody is moved by the approval itself"
    work(engine, LATER + DAY + SECOND)
    assert levels(engine) == [1, 2, 3, 1, 2, 3]
    assert {row["level"]: row["entered_us"] for row in rows_of(engine, Standing) if row["level"] in entered} == entered
    moved = [(row["from_level"], row["to_level"]) for row in rows_of(engine, Transition) if row["entity_id"] == 1]
    assert moved == [(None, 1), (1, 3), (3, 1)]
    for row in rows_of(engine, Assessment):
        assert replay_assessment(Context(engine, three[0]), f"{row['entity_id']}.{row['number']}").same
    assert verify(engine, print).entries > 0
    work(engine, LATER + 2 * DAY)
    put_entities(Context(engine, three[0]).at(LATER + 3 * DAY), "customer", [EntityRow("c0", {"country": "KP"})])
    work(engine, LATER + 3 * DAY)
    put_entities(Context(engine, three[0]).at(LATER + 4 * DAY), "customer", [EntityRow("c0", {"country": "NO"})])
    work(engine, LATER + 4 * DAY)
    assert levels(engine)[0] == 3, "a release counts once: what happens after it is held as ever"


def test_what_the_older_version_raises_too_stays(engine: Engine, three: People) -> None:
    """Raised by both, and low again by now: the cooldown of the older version holds it."""
    put_entities(Context(engine, three[0]).at(LATER + 2 * DAY), "customer", [EntityRow("c0", {"country": "KP"})])
    work(engine, LATER + 2 * DAY)
    assert back(engine, three, LATER + 3 * DAY)["released"] == 3
    work(engine, LATER + 3 * DAY + SECOND)
    assert levels(engine) == [3, 2, 3, 1, 2, 3]


def test_what_the_older_version_would_have_seen_at_the_time_is_seen(engine: Engine) -> None:
    """A payment raised by both versions, and has left all windows by now: the cooldown of the older one holds it."""
    three = founded(engine)
    put_list_version(Context(engine, three[0]).at(NOW), "watched", 0, ["IR"], "Watched", "our own")
    put_entities(Context(engine, three[0]).at(NOW), "customer", [EntityRow("c0", {"country": "NO", "income": 5.0})])
    decide(engine, three, document().replace("examples:", PAID), "retail")
    work(engine, NOW + SECOND)
    decide_again(engine, three, STRICT.replace("examples:", PAID))
    work(engine, LATER + SECOND)
    payment = {"transaction_id": "t1", "user_id": "c0", "transaction_amount": 9.5, "transaction_currency": "EUR"}
    paid_us = LATER + DAY // 2
    at = from_microseconds(paid_us).replace(tzinfo=None).isoformat()
    add_transactions(Context(engine, three[0]).at(paid_us), [{**payment, "transaction_date": at}])
    work(engine, paid_us)
    assert levels(engine) == [3]
    assert back(engine, three, LATER + 3 * DAY)["released"] == 0
    work(engine, LATER + 3 * DAY + SECOND)
    assert levels(engine) == [3]


def test_who_was_assessed_after_the_preview_is_held(engine: Engine, three: People) -> None:
    outcome = roll_back(Context(engine, three[0]).at(LATER + DAY), "retail", 1, "too strict", 1000, release=True)
    assert run_next_job(engine, BACKTESTS, LATER + DAY)
    put_entities(Context(engine, three[0]).at(LATER + 2 * DAY), "customer", [EntityRow("c0", {"income": 6.0})])
    work(engine, LATER + 2 * DAY)
    agreed(engine, three[1], outcome, LATER + 2 * DAY)
    work(engine, LATER + 2 * DAY + SECOND)
    assert levels(engine) == [3, 2, 3, 1, 2, 3]


def test_a_release_that_was_not_approved_counts_for_nothing(engine: Engine, three: People) -> None:
    roll_back(Context(engine, three[0]).at(LATER + DAY), "retail", 1, "too strict", 1000, release=True)
    assert run_next_job(engine, BACKTESTS, LATER + DAY)
    assert len(rows_of(engine, LevelRelease)) == 4
    back(engine, three, LATER + DAY, release=False)
    work(engine, LATER + DAY + SECOND)
    assert levels(engine) == [3] * 6


def test_whom_a_ruleset_keeps_while_a_value_is_missing_it_keeps_without_the_withdrawn_version(engine: Engine) -> None:
    """Their country is missing since: by the older version as well nobody goes to the next, milder ruleset."""
    three = founded(engine)
    put_list_version(Context(engine, three[0]).at(NOW), "watched", 0, ["IR"], "Watched", "our own")
    put_entities(Context(engine, three[0]).at(NOW), "customer", [EntityRow("c0", {"country": "IR", "income": 5.0})])
    predicate = (
        "levels: [low",
        "applies_to: {any: [{field: country, equals: IR}, {field: country, equals: KP}]}\nlevels: [low",
    )
    rich = "applies_to: {field: income, at_least: 100000}\nlevels: [low"
    rich_first = document("rich").replace("levels: [low", rich).replace("income: 5}", "income: 100000}")
    rich_first = rich_first.replace("level: medium}", "level: high}")
    for text, name in ((rich_first, "rich"), (document().replace(*predicate), "retail"), (document("mild"), "mild")):
        decide(engine, three, text, name)
    work(engine, NOW + SECOND)
    assert levels(engine) == [2]
    decide_again(engine, three, STRICT.replace(*predicate))
    work(engine, LATER + SECOND)
    assert levels(engine) == [3]
    put_entities(Context(engine, three[0]).at(LATER + DAY), "customer", [EntityRow("c0", {"country": None})])
    work(engine, LATER + DAY)
    assert back(engine, three, LATER + 40 * DAY)["released"] == 1
    work(engine, LATER + 40 * DAY + SECOND)
    assert levels(engine) == [2]
