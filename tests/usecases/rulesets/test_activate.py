"""What decides: activated by another than who wrote it, rolled back for a reason, and everyone due at a set rate."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, ConflictError, NotFoundError
from fivefold.store.levels.assessment_queue import BULK, Reason
from fivefold.store.rulesets.activations import PER_SECOND
from fivefold.store.tables.audit import AuditEntry
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.levels import DueMark
from fivefold.store.tables.rulesets import Activation, Backtest, Family, RulesetVersion
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.changes.backtests import BACKTESTS, request_backtest
from fivefold.usecases.rulesets import activate as activations
from fivefold.usecases.rulesets.activate import MOST_SECONDS, activate, advance_backfills, list_activations
from fivefold.usecases.rulesets.commit import commit
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.jobs import run_next_job
from tests.depth import SHARED_FIXTURES, examples
from tests.store.filling import filled_once
from tests.usecases.at_once import order_families, put_list_version, roll_back, switch_family
from tests.usecases.governed import (
    NOW,
    SECOND,
    add_entities,
    audited,
    document,
    due_reasons,
    founded,
    rows_of,
    together,
)

People = tuple[Actor, Actor, Actor]


def prepared(engine: Engine) -> People:
    """Ana edits, Ben commits, Cyd may activate; version 1 has its backtest."""
    three = founded(engine)
    put_list_version(Context(engine, three[0]).at(NOW), "watched", 0, ["IR"], "Watched", "our own")
    committed(engine, three)
    return three


def committed(engine: Engine, three: People, medium: int = 30, name: str = "retail") -> int:
    saved = save_draft(Context(engine, three[0]), document(name, medium))
    version = commit(Context(engine, three[1]), name, saved.revision).number
    request_backtest(Context(engine, three[0]), name, version)
    assert run_next_job(engine, BACKTESTS, NOW)
    return version


@pytest.fixture
@filled_once
def three(engine: Engine) -> People:
    return prepared(engine)


def active(engine: Engine) -> dict[str, int | None]:
    numbers = {row["id"]: row["number"] for row in rows_of(engine, RulesetVersion)}
    return {row["name"]: numbers.get(row["active_version_id"]) for row in rows_of(engine, Family)}


def test_a_version_decides_once_somebody_else_activates_it(engine: Engine, three: People) -> None:
    cyd = three[2]
    assert active(engine) == {"retail": None}
    activate(Context(engine, cyd).at(NOW), "retail", 1, "as agreed", 50)
    assert active(engine) == {"retail": 1}
    (line,) = list_activations(Context(engine, cyd), "retail")
    assert (line.kind, line.version, line.previous, line.reason) == ("activation", 1, None, "as agreed")
    assert (line.actor, line.at_us, line.per_second, line.finished_us) == ("member:3", NOW, 50, None)
    assert rows_of(engine, Activation)[0]["backtest_id"] == rows_of(engine, Backtest)[0]["id"]


@pytest.mark.parametrize("who", [0, 1])
def test_neither_who_edited_nor_who_committed_activates(engine: Engine, three: People, who: int) -> None:
    with pytest.raises(
        ConflictError, match=f"member:{who + 1} edited or committed version 1 of retail: another person"
    ):
        activate(Context(engine, three[who]), "retail", 1, "why")
    assert active(engine) == {"retail": None}


def test_whoever_edited_once_stays_an_editor_whatever_others_save_after(engine: Engine, three: People) -> None:
    ana, ben, cyd = three
    save_draft(Context(engine, cyd), document(medium=29))
    save_draft(Context(engine, ana), document(medium=28), 2)
    save_draft(Context(engine, ana), document(medium=27), 3)
    commit(Context(engine, ben), "retail", 4)
    request_backtest(Context(engine, cyd), "retail", 2)
    run_next_job(engine, BACKTESTS, NOW)
    for actor in three:
        with pytest.raises(ConflictError, match="another person activates"):
            activate(Context(engine, actor), "retail", 2, "why")


def test_another_token_of_the_same_person_is_the_same_person(engine: Engine, three: People) -> None:
    """Actors are people, whatever they sign in with: the name alone counts."""
    again = Actor(three[0].organisation_id, "member:1")
    with pytest.raises(ConflictError, match="another person activates"):
        activate(Context(engine, again), "retail", 1, "why")


def test_without_a_backtest_of_this_very_content_nothing_is_activated(engine: Engine, three: People) -> None:
    ana, ben, cyd = three
    save_draft(Context(engine, ana), document(medium=29))
    request_backtest(Context(engine, ana), "retail")
    run_next_job(engine, BACKTESTS, NOW)
    save_draft(Context(engine, ana), document(medium=28), 2)
    commit(Context(engine, ben), "retail", 3)
    with pytest.raises(ConflictError, match="version 2 of retail has no backtest that is done"):
        activate(Context(engine, cyd), "retail", 2, "why")
    request_backtest(Context(engine, ana), "retail", 2)
    with pytest.raises(ConflictError, match="has no backtest that is done"):
        activate(Context(engine, cyd), "retail", 2, "it is queued")
    run_next_job(engine, BACKTESTS, NOW)
    activate(Context(engine, cyd), "retail", 2, "it is done")


def test_a_backtest_of_the_draft_counts_for_the_version_of_the_same_content(engine: Engine, three: People) -> None:
    ana, ben, cyd = three
    save_draft(Context(engine, ana), document(medium=29))
    request_backtest(Context(engine, ana), "retail")
    run_next_job(engine, BACKTESTS, NOW)
    save_draft(Context(engine, ana), document(medium=29, remark="only a remark"), 2)
    commit(Context(engine, ben), "retail", 3)
    activate(Context(engine, cyd), "retail", 2, "why")


@pytest.mark.parametrize("state", ["queued", "running", "failed"])
def test_a_backtest_that_is_not_done_does_not_count(engine: Engine, three: People, state: str) -> None:
    with Session(engine) as session, session.begin():
        session.execute(update(Backtest).values(state=state))
    with pytest.raises(ConflictError, match="has no backtest that is done"):
        activate(Context(engine, three[2]), "retail", 1, "why")


def test_a_backtest_on_examples_does_not_count_once_there_are_customers(engine: Engine, three: People) -> None:
    add_entities(engine, three[0], ["c1"])
    with pytest.raises(
        ConflictError, match="backtest of version 1 of retail looked at 0 of the 1 entities of type cust"
    ):
        activate(Context(engine, three[2]).at(NOW), "retail", 1, "why")
    with Session(engine) as session, session.begin():
        session.execute(update(Entity).values(erased_us=NOW))
    activate(Context(engine, three[2]), "retail", 1, "they are gone")


def test_what_is_active_is_not_activated_again(engine: Engine, three: People) -> None:
    activate(Context(engine, three[2]), "retail", 1, "why")
    for change in (activate, roll_back):
        with pytest.raises(ConflictError, match="version 1 of retail is active already"):
            change(Context(engine, three[2]), "retail", 1, "why")
    assert len(rows_of(engine, Activation)) == 1


def test_what_decided_before_is_activated_like_any_other(engine: Engine, three: People) -> None:
    """By another than who wrote it, with a backtest of what decides now: no proposal, as that is for roll-backs."""
    ana, ben, cyd = three
    activate(Context(engine, cyd).at(NOW), "retail", 1, "why")
    committed(engine, three, 29)
    activate(Context(engine, cyd).at(NOW + 1), "retail", 2, "why")
    add_entities(engine, ana, ["c1"])
    with pytest.raises(ConflictError, match="backtest of version 1 of retail"):
        activate(Context(engine, cyd).at(NOW + 2), "retail", 1, "its backtest compared with what decides no more")
    request_backtest(Context(engine, ana).at(NOW + 2), "retail", 1)
    assert run_next_job(engine, BACKTESTS, NOW + 2)
    for author in (ana, ben):
        with pytest.raises(ConflictError, match="edited or committed version 1 of retail: another person"):
            activate(Context(engine, author).at(NOW + 3), "retail", 1, "I wrote it")
    activate(Context(engine, cyd).at(NOW + 3), "retail", 1, "it was better")
    assert active(engine) == {"retail": 1}
    assert list_activations(Context(engine, cyd), "retail")[0].kind == "activation"


def test_rolling_back_needs_a_reason_and_nothing_else(engine: Engine, three: People) -> None:
    ana, _, cyd = three
    activate(Context(engine, cyd).at(NOW), "retail", 1, "why")
    committed(engine, three, 29)
    with pytest.raises(ConflictError, match="version 2 of retail was never active; it needs to be activated"):
        roll_back(Context(engine, ana), "retail", 2, "why")
    activate(Context(engine, cyd).at(NOW + 1), "retail", 2, "why")
    for reason in ("", "  "):
        with pytest.raises(ConfigError, match="reason must say why"):
            roll_back(Context(engine, ana), "retail", 1, reason)
    with Session(engine) as session, session.begin():
        session.execute(update(Backtest).values(state="failed"))
    roll_back(Context(engine, ana).at(NOW + 2), "retail", 1, "too many alerts", 7)
    assert active(engine) == {"retail": 1}
    line = list_activations(Context(engine, cyd), "retail")[0]
    assert (line.kind, line.version, line.previous, line.reason, line.actor, line.per_second) == (
        "rollback", 1, 2, "too many alerts", "member:1", 7,
    )  # fmt: skip
    roll_back(Context(engine, ana), "retail", 2, "and forth")
    assert active(engine) == {"retail": 2}


def test_others_and_nothing_are_not_there(engine: Engine, three: People) -> None:
    other = founded(engine, "other")[2]
    for change in (activate, roll_back):
        with pytest.raises(NotFoundError, match="there is no ruleset 'retail'"):
            change(Context(engine, other), "retail", 1, "why")
        with pytest.raises(NotFoundError, match="there is no ruleset 'nothing'"):
            change(Context(engine, three[2]), "nothing", 1, "why")
        with pytest.raises(NotFoundError, match="there is no version 2 of retail"):
            change(Context(engine, three[2]), "retail", 2, "why")
    with pytest.raises(NotFoundError):
        list_activations(Context(engine, other), "retail")


def test_switching_makes_nobody_due_at_once(engine: Engine, three: People) -> None:
    activate(Context(engine, three[2]).at(NOW), "retail", 1, "why", 10)
    add_entities(engine, three[0], [f"c{number}" for number in range(25)])
    assert due_reasons(engine) == {}
    assert advance_backfills(engine, NOW) == 0
    assert advance_backfills(engine, NOW + SECOND // 20) == 0


def test_everyone_becomes_due_at_the_set_rate_in_the_order_of_their_numbers(engine: Engine, three: People) -> None:
    ids = add_entities(engine, three[0], [f"c{number}" for number in range(25)])
    request_backtest(Context(engine, three[0]), "retail", 1)
    run_next_job(engine, BACKTESTS, NOW)
    activate(Context(engine, three[2]).at(NOW), "retail", 1, "why", 10)
    assert advance_backfills(engine, NOW + SECOND) == 10
    assert due_reasons(engine) == dict.fromkeys(ids[:10], Reason.ACTIVATION)
    assert {(row["due_us"], row["priority"]) for row in rows_of(engine, DueMark)} == {(NOW + SECOND, BULK)}
    line = list_activations(Context(engine, three[0]), "retail")[0]
    assert (line.reached, line.of, line.finished_us) == (10, 25, None)
    assert advance_backfills(engine, NOW + 2 * SECOND) == 10
    assert advance_backfills(engine, NOW + 3 * SECOND) == 5
    line = list_activations(Context(engine, three[0]), "retail")[0]
    assert (line.reached, line.of, line.finished_us) == (None, None, NOW + 3 * SECOND)
    assert sorted(due_reasons(engine)) == ids
    assert advance_backfills(engine, NOW + 4 * SECOND) == 0


def test_a_worker_that_was_away_does_not_make_up_for_all_of_it(engine: Engine, three: People) -> None:
    activate(Context(engine, three[2]).at(NOW), "retail", 1, "why", 2)
    add_entities(engine, three[0], [f"c{number}" for number in range(60)])
    later = NOW + 3600 * SECOND
    assert advance_backfills(engine, later) == 2 * MOST_SECONDS
    assert advance_backfills(engine, later) == 0
    assert advance_backfills(engine, later + SECOND) == 2
    assert advance_backfills(engine, NOW) == 0, "a clock that was set back marks nobody"


@settings(max_examples=examples(12), suppress_health_check=SHARED_FIXTURES)
@given(st.lists(st.integers(1, 2_500_000), min_size=1, max_size=12), st.integers(1, 50))
def test_however_often_workers_ask_the_rate_is_kept(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], rate: int
) -> None:
    from tests.store import databases

    with databases.opened(databases.new_url("sqlite", tmp_path_factory.mktemp("rate"))) as engine:
        three = prepared(engine)
        activate(Context(engine, three[2]).at(NOW), "retail", 1, "why", rate)
        add_entities(engine, three[0], [f"c{number}" for number in range(1500)])
        now, marked = NOW, 0
        for step in steps:
            now += step
            marked += advance_backfills(engine, now)
            allowed = (now - NOW) * rate // SECOND
            assert allowed - 1 <= marked <= allowed


def test_many_are_marked_in_short_transactions(engine: Engine, three: People, monkeypatch: pytest.MonkeyPatch) -> None:
    activate(Context(engine, three[2]).at(NOW), "retail", 1, "why", 100)
    ids = add_entities(engine, three[0], [f"c{number}" for number in range(30)])
    monkeypatch.setattr(activations, "AT_ONCE", 7)
    assert advance_backfills(engine, NOW + SECOND // 5) == 20
    assert advance_backfills(engine, NOW + SECOND // 5) == 0
    assert advance_backfills(engine, NOW + SECOND) == 10
    assert sorted(due_reasons(engine)) == ids
    parts = [entry["bulk_count"] for entry in rows_of(engine, AuditEntry) if entry["action"] == "ruleset.backfilled"]
    assert parts == [7, 7, 6, 7, 3]


def test_what_happens_in_between_is_not_forgotten_and_goes_first(engine: Engine, three: People) -> None:
    from fivefold.store.levels import assessment_queue as due
    from fivefold.store.levels.assessment_queue import EVENT, Subject

    (one,) = add_entities(engine, three[0], ["c1"])
    request_backtest(Context(engine, three[0]), "retail", 1)
    run_next_job(engine, BACKTESTS, NOW)
    with Session(engine) as session, session.begin():
        due.mark(session, [Subject(one, three[0].organisation_id, 1)], Reason.TAG, NOW, EVENT)
    activate(Context(engine, three[2]).at(NOW), "retail", 1, "why", 10)
    advance_backfills(engine, NOW + SECOND)
    (row,) = rows_of(engine, DueMark)
    assert (row["due_us"], row["priority"], row["revision"]) == (NOW, EVENT, 2)
    assert Reason(row["reasons"]) == Reason.TAG | Reason.ACTIVATION


def test_a_newer_change_takes_in_everyone_and_ends_the_older_one(engine: Engine, three: People) -> None:
    ids = add_entities(engine, three[0], [f"c{number}" for number in range(6)])
    request_backtest(Context(engine, three[0]), "retail", 1)
    run_next_job(engine, BACKTESTS, NOW)
    activate(Context(engine, three[2]).at(NOW), "retail", 1, "why", 3)
    committed(engine, three, 29)
    advance_backfills(engine, NOW + SECOND)
    activate(Context(engine, three[2]).at(NOW + SECOND), "retail", 2, "why", 2)
    older, newer = rows_of(engine, Activation)
    assert (older["finished_us"], newer["finished_us"], newer["reached_id"]) == (NOW + SECOND, None, 0)
    marked = [advance_backfills(engine, NOW + seconds * SECOND) for seconds in range(2, 6)]
    assert marked == [2, 2, 2, 0]
    assert sorted(due_reasons(engine)) == ids


def test_only_those_of_the_type_become_due(engine: Engine, three: People) -> None:
    activate(Context(engine, three[2]).at(NOW), "retail", 1, "why", 100)
    define_type(Context(engine, three[0]), "company", {})
    add_entities(engine, three[0], ["x"], "company")
    other = founded(engine, "other")[0]
    add_entities(engine, other, ["y"])
    mine = add_entities(engine, three[0], ["a", "b", "erased"])
    with Session(engine) as session, session.begin():
        session.execute(update(Entity).where(Entity.id == mine[2]).values(erased_us=NOW))
    assert advance_backfills(engine, NOW + SECOND) == 2
    assert sorted(due_reasons(engine)) == mine[:2]


def test_switching_off_and_another_order_take_the_same_way(engine: Engine, three: People) -> None:
    committed(engine, three, name="second")
    for name in ("retail", "second"):
        activate(Context(engine, three[2]).at(NOW), name, 1, "why", 100)
    ids = add_entities(engine, three[0], ["a", "b"])
    advance_backfills(engine, NOW + SECOND)
    changes = (
        lambda now: order_families(Context(engine, three[0]).at(now), "customer", ["second", "retail"], "why", 100),
        lambda now: switch_family(Context(engine, three[0]).at(now), "second", False, "why", 100),
        lambda now: switch_family(Context(engine, three[0]).at(now), "second", True, "why", 100),
    )
    for number, change in enumerate(changes, 2):
        with Session(engine) as session, session.begin():
            session.execute(update(DueMark).values(due_us=None, reasons=0))
        change(NOW + number * SECOND)
        assert due_reasons(engine) == {}
        assert advance_backfills(engine, NOW + (number + 1) * SECOND) == 2
        assert due_reasons(engine) == dict.fromkeys(ids, Reason.ACTIVATION)


def test_of_a_family_that_is_off_a_switch_makes_nobody_due(engine: Engine, three: People) -> None:
    switch_family(Context(engine, three[0]), "retail", False, "why")
    activate(Context(engine, three[2]).at(NOW), "retail", 1, "for later", 100)
    (row,) = rows_of(engine, Activation)
    assert row["finished_us"] == NOW
    add_entities(engine, three[0], ["a"])
    assert advance_backfills(engine, NOW + SECOND) == 0
    switch_family(Context(engine, three[0]).at(NOW + SECOND), "retail", True, "now", 100)
    assert advance_backfills(engine, NOW + 2 * SECOND) == 1


@pytest.mark.parametrize("rate", [0, 100_001, 2.5])
def test_a_rate_that_is_none_is_refused(engine: Engine, three: People, rate: Any) -> None:
    with pytest.raises(ConfigError, match="per_second is"):
        activate(Context(engine, three[2]), "retail", 1, "why", rate)
    assert PER_SECOND == 200


def test_every_change_and_every_part_is_recorded(engine: Engine, three: People) -> None:
    add_entities(engine, three[0], ["a", "b", "c"])
    request_backtest(Context(engine, three[0]), "retail", 1)
    run_next_job(engine, BACKTESTS, NOW)
    before = len(rows_of(engine, AuditEntry))
    activate(Context(engine, three[2]).at(NOW), "retail", 1, "because of Zoe", 2)
    for seconds in (1, 2, 3):
        advance_backfills(engine, NOW + seconds * SECOND)
    content = rows_of(engine, RulesetVersion)[0]["content_hash"]
    assert audited(engine)[before:] == [
        ("member:3", "ruleset.activated", "1", {"ruleset": "retail", "version": 1, "content_hash": content}),
        ("system", "ruleset.backfilled", "1", {"finished": False}),
        ("system", "ruleset.backfilled", "1", {"finished": True}),
    ]  # fmt: skip
    entries = rows_of(engine, AuditEntry)[before:]
    assert [entry["bulk_count"] for entry in entries] == [None, 2, 1]
    assert "Zoe" not in repr(entries)
    assert verify(engine, print).entries == before + 3


def test_of_two_who_activate_at_once_one_comes_after_the_other(kind: str, tmp_path: Path) -> None:
    def prepare(engine: Engine) -> People:
        three = prepared(engine)
        committed(engine, three, 29)
        return three

    def change(number: int) -> Any:
        return lambda engine, three: activate(Context(engine, three[2]).at(NOW), "retail", number, "why", 1)

    made = together(kind, tmp_path, prepare, change(1), change(2), change(1))
    assert sorted(type(each).__name__ for each in made) in (
        ["ConflictError", "NoneType", "NoneType"],
        ["NoneType", "NoneType", "NoneType"],
    )


def test_what_two_did_at_once_is_one_line_of_changes(engine: Engine, three: People) -> None:
    """Each change says what was active before it, without a gap."""
    committed(engine, three, 29)

    def change(number: int) -> None:
        try:
            activate(Context(engine, three[2]).at(NOW), "retail", 1 + number % 2, "why", 1)
        except ConflictError:
            return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(change, range(12)))
    rows = rows_of(engine, Activation)
    assert rows[0]["previous_version_id"] is None
    assert all(later["previous_version_id"] == row["version_id"] for row, later in pairwise(rows))
    assert rows_of(engine, Family)[0]["active_version_id"] == rows[-1]["version_id"]
    assert [row["finished_us"] for row in rows] == [*[NOW] * (len(rows) - 1), None]


def test_workers_together_mark_everyone_once(kind: str, tmp_path: Path) -> None:
    def prepare(engine: Engine) -> People:
        three = prepared(engine)
        activate(Context(engine, three[2]).at(NOW), "retail", 1, "why", 50)
        add_entities(engine, three[0], [f"c{number}" for number in range(200)])
        return three

    def work(engine: Engine, three: People) -> int:
        return sum(advance_backfills(engine, NOW + step * SECOND // 10) for step in range(1, 60))

    made = together(kind, tmp_path, prepare, work, work, work)
    assert sum(made) == 200, made
