"""The retention policy as stories: what is old goes, part by part; what something rests on stays, and so on a kill."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError
from fivefold.store.erasure import retention as removing
from fivefold.store.erasure.retention import OldRow, RetentionScope
from fivefold.store.tables.audit import AuditEntry
from fivefold.store.tables.entities import OrganisationSettings
from fivefold.store.tables.events import Delivery, Endpoint, OutboxEvent
from fivefold.store.tables.operations import RetentionRun
from fivefold.usecases.erasure import retention
from fivefold.usecases.erasure.erase import set_legal_hold
from fivefold.usecases.ingest.facts import RecordGiven, put_record
from fivefold.usecases.webhooks.plan import plan_deliveries, prune_deliveries
from tests.store.filling import filled_once
from tests.usecases import banks
from tests.usecases.banks import Bank
from tests.usecases.erasure.erasures import chain_holds
from tests.usecases.erasure.removals import YEAR, announce, keep, line, remove

URL = "http://127.0.0.1:9/"


def with_announcements(engine: Engine) -> Bank:
    """Two customers whose levels were announced a year ago, and one of today."""
    made = Bank(engine)
    made.activate(banks.document({"country": banks.COUNTRY}))
    announce(made)
    return made


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    return with_announcements(engine)


def told(bank: Bank) -> list[int]:
    with Session(bank.engine) as session:
        return list(session.scalars(select(OutboxEvent.entity_id).order_by(OutboxEvent.id)))


def ids(bank: Bank, *names: str) -> list[int]:
    return [bank.id_of(name) for name in names]


def entries(bank: Bank) -> list[AuditEntry]:
    with Session(bank.engine) as session:
        return list(session.scalars(select(AuditEntry).where(AuditEntry.action == "retention.removed")))


@pytest.mark.postgresql
def test_nothing_goes_before_an_organisation_says_so(bank: Bank) -> None:
    assert remove(bank) == {}
    assert [(each.days, each.removable, each.before_us) for each in retention.preview_retention(bank.context)] == [
        (0, 0, None)
    ] * len(removing.REMOVALS)
    assert line(bank, "outbox", 90).removable == 2, "what another policy would remove can be seen before"
    assert len(told(bank)) == 3


def test_events_of_before_go_and_one_entry_says_so(bank: Bank) -> None:
    keep(bank, outbox_days=90)
    before = line(bank, "outbox")
    assert (before.removable, before.kept, before.oldest_us, before.whole) == (2, 0, bank.now - YEAR * DAY_US, True)
    assert remove(bank) == {"outbox": 2}
    assert told(bank) == ids(bank, "third")
    (entry,) = entries(bank)
    assert '"kind":"outbox"' in entry.details
    assert '"removed":2' in entry.details
    assert f'"oldest_us":{bank.now - YEAR * DAY_US}' in entry.details
    last = line(bank, "outbox").last_run
    assert last is not None
    assert (last.removed, last.finished_us, last.before_us) == (2, bank.now, bank.now - 90 * DAY_US)
    chain_holds(bank.engine)
    assert remove(bank) == {}
    bank.wait(2)
    assert remove(bank) == {}
    assert len(entries(bank)) == 1, "a run that removes nothing is no news"


def test_a_run_of_events_is_one_entry_however_many_parts_it_has(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PART_ROWS", 1)
    keep(bank, outbox_days=90)
    assert remove(bank) == {"outbox": 2}
    with Session(bank.engine) as session:
        actions = list(session.scalars(select(AuditEntry.action).where(AuditEntry.action.startswith("retention."))))
    assert actions == ["retention.removed"]


def test_the_last_event_stays_so_that_no_number_is_given_twice(bank: Bank) -> None:
    """SQLite gives the number behind the highest there is: an endpoint that is beyond it would miss what comes."""
    bank.wait(YEAR)
    keep(bank, outbox_days=30)
    assert remove(bank) == {"outbox": 2}
    with Session(bank.engine) as session:
        last = session.scalars(select(OutboxEvent.id)).one()
    bank.put("fourth", country="KP")
    bank.settle()
    with Session(bank.engine) as session:
        assert max(session.scalars(select(OutboxEvent.id))) > last


def test_an_event_that_an_endpoint_has_still_to_get_stays(bank: Bank) -> None:
    keep(bank, outbox_days=90)
    with Session(bank.engine) as session, session.begin():
        first = session.scalars(select(OutboxEvent.id).order_by(OutboxEvent.id)).first()
        session.add(
            Endpoint(
                organisation_id=bank.of, url=URL, kinds=[], secrets="", enabled=False, private_allowed=True,
                planned_id=first, created_us=bank.now,
            )
        )  # fmt: skip
    assert (line(bank, "outbox").removable, line(bank, "outbox").kept) == (1, 1), "a disabled one gets it later"
    assert remove(bank) == {"outbox": 1}
    assert told(bank) == ids(bank, "second", "third")
    with Session(bank.engine) as session, session.begin():
        session.scalars(select(Endpoint)).one().planned_id = 10**6
    bank.wait(1)
    assert remove(bank) == {"outbox": 1}


def endpoint(bank: Bank, states: dict[str, str]) -> int:
    """An endpoint whose deliveries of the events of customers ended, a year ago, or did not."""
    with Session(bank.engine) as session, session.begin():
        made = Endpoint(
            organisation_id=bank.of, url=URL, kinds=["level.reached"], secrets="", enabled=True, private_allowed=True,
            planned_id=10**6, created_us=bank.now,
        )  # fmt: skip
        session.add(made)
        session.flush()
        for name, state in states.items():
            entity = bank.id_of(name)
            number = session.scalars(select(OutboxEvent.id).where(OutboxEvent.entity_id == entity)).one()
            session.add(
                Delivery(
                    endpoint_id=made.id, event_number=number, entity_id=entity, state=state, attempts=1,
                    next_us=bank.now - YEAR * DAY_US,
                    delivered_us=bank.now - YEAR * DAY_US if state == "delivered" else None,
                )
            )  # fmt: skip
        return made.id


def deliveries(bank: Bank) -> dict[int, str]:
    with Session(bank.engine) as session:
        return {row.entity_id: row.state for row in session.scalars(select(Delivery))}


def test_deliveries_that_ended_go_and_then_their_events(bank: Bank) -> None:
    endpoint(bank, {"first": "dead", "second": "delivered", "third": "waiting"})
    keep(bank, outbox_days=90, deliveries_days=30)
    assert line(bank, "deliveries").removable == 2
    removed = remove(bank)
    assert removed["deliveries"] == 2
    assert deliveries(bank) == {bank.id_of("third"): "waiting"}, "what waits is never removed, however old"
    bank.wait(1)
    removed["outbox"] = removed.get("outbox", 0) + remove(bank).get("outbox", 0)
    assert removed["outbox"] == 2
    assert told(bank) == ids(bank, "third")


def test_an_event_stays_while_a_delivery_of_it_can_be_sent_again(bank: Bank) -> None:
    endpoint(bank, {"first": "dead", "second": "delivered"})
    keep(bank, outbox_days=90)
    assert remove(bank) == {}, "deliveries stay for good, and what they carry with them"
    assert line(bank, "outbox").kept == 2


def test_who_decides_for_how_long_deliveries_are_kept_is_not_asked_twice(bank: Bank) -> None:
    """What arrived went after 30 days in any case; an organisation that wants a year of it gets a year."""
    endpoint(bank, {"first": "delivered"})
    keep(bank, deliveries_days=2 * YEAR)
    assert prune_deliveries(bank.engine, bank.now) == 0
    assert remove(bank) == {}
    keep(bank, deliveries_days=0)
    assert prune_deliveries(bank.engine, bank.now) == 1


def hold(bank: Bank, folder: Path) -> None:
    set_legal_hold(bank.context, "customer", "first", bank.now + 9 * DAY_US, "Court.", folder / "register")


def _open_case(bank: Bank, _: Path) -> None:
    put_record(bank.context, "customer", "first", "case", RecordGiven(external_id="c", opened_us=bank.now))


def _ask_for_override(bank: Bank, _: Path) -> None:
    bank.override("first", 2)
    with Session(bank.engine) as session, session.begin():
        session.execute(text("UPDATE overrides SET until_us = NULL"))


def _owned_by_one_on_hold(bank: Bank, folder: Path) -> None:
    bank.put("first", owners=[banks.OwnerGiven("customer", "third")])
    set_legal_hold(bank.context, "customer", "third", bank.now + 9 * DAY_US, "Court.", folder / "register")


HOLDS: dict[str, Callable[[Bank, Path], None]] = {
    "a legal hold": hold,
    "an open case": _open_case,
    "an override that holds": _ask_for_override,
    "a hold on who owns it": _owned_by_one_on_hold,
}


@pytest.mark.parametrize("what", HOLDS)
def test_what_opens_between_a_dry_run_and_the_run_keeps_everything_of_the_customer(
    bank: Bank, tmp_path: Path, what: str
) -> None:
    endpoint(bank, {"first": "dead"})
    keep(bank, outbox_days=90, deliveries_days=30)
    assert line(bank, "deliveries").removable == 1
    HOLDS[what](bank, tmp_path)
    assert "deliveries" not in remove(bank)
    assert bank.id_of("first") in deliveries(bank)
    assert bank.id_of("first") in told(bank)
    assert line(bank, "deliveries").kept == 1


def test_a_hold_that_ends_lets_the_next_run_remove(bank: Bank, tmp_path: Path) -> None:
    keep(bank, outbox_days=90)
    hold(bank, tmp_path)
    assert remove(bank) == {"outbox": 1}
    for expected in ({}, {"outbox": 1}):
        bank.wait(5)
        assert remove(bank) == expected
    assert bank.id_of("first") not in told(bank)


def many(bank: Bank, count: int) -> None:
    """Events of a year ago, of one customer."""
    with bank.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO outbox (organisation_id, event_id, kind, entity_id, at_us, body)"
                " WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :many)"
                " SELECT :of, 'x-' || i, 'level.reached', :entity, :at, '{}' FROM n"
            ),
            {
                "many": count, "of": bank.of, "entity": bank.id_of("second"), "at": bank.now - YEAR * DAY_US,
            },
        )  # fmt: skip


@pytest.mark.postgresql
def test_who_is_killed_in_the_middle_of_a_part_has_removed_nothing_of_it(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PART_ROWS", 100)
    many(bank, 250)
    keep(bank, outbox_days=90)
    assert remove(bank, most_parts=1) == {"outbox": 99}, "and the one of today stays"
    whole = removing.REMOVALS["outbox"]

    def dies(session: Session, scope: RetentionScope, rows: Sequence[OldRow]) -> None:
        whole.remove(session, scope, rows)
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setitem(removing.REMOVALS, "outbox", whole._replace(remove=dies))
        with pytest.raises(KeyboardInterrupt):
            remove(bank)
    assert len(told(bank)) == 154, "nothing of the part that was under way"
    assert remove(bank) == {"outbox": 152}, "another worker goes on where the first one was"
    (entry,) = entries(bank)
    assert '"removed":251' in entry.details


@pytest.mark.postgresql
def test_two_workers_at_once_remove_each_row_once(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PART_ROWS", 20)
    monkeypatch.setattr(retention, "PAUSE_SECONDS", 0.0)
    many(bank, 400)
    keep(bank, outbox_days=90)
    removed: list[dict[str, int]] = []
    workers = [threading.Thread(target=lambda: removed.append(remove(bank))) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    removed.append(remove(bank))
    assert sum(each.get("outbox", 0) for each in removed) == 401
    with Session(bank.engine) as session:
        assert [run.removed for run in session.scalars(select(RetentionRun))] == [401]
    assert len(entries(bank)) == 1
    chain_holds(bank.engine)


def test_a_worker_that_read_its_clock_before_another_began_a_run_takes_it_further(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PART_ROWS", 100)
    many(bank, 250)
    keep(bank, outbox_days=90)
    bank.wait(microseconds=300_000_000)
    assert remove(bank, most_parts=1) == {"outbox": 99}
    bank.wait(microseconds=-300_000_000)
    assert remove(bank) == {"outbox": 152}
    (entry,) = entries(bank)
    assert '"removed":251,' in entry.details
    assert '"whole":true' in entry.details


def test_a_policy_that_is_lengthened_ends_the_run_and_shortened_again_goes_on(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PART_ROWS", 100)
    many(bank, 250)
    keep(bank, outbox_days=90)
    assert remove(bank, most_parts=1) == {"outbox": 99}
    keep(bank, outbox_days=2 * YEAR)
    assert remove(bank) == {}, "what the policy keeps now is not removed by a run of before"
    (entry,) = entries(bank)
    assert '"removed":99' in entry.details
    assert '"whole":false' in entry.details
    keep(bank, outbox_days=90)
    assert remove(bank) == {}, "a run a day"
    bank.wait(1)
    assert remove(bank) == {"outbox": 152}


def test_a_policy_that_is_taken_back_removes_nothing_more(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PART_ROWS", 1)
    keep(bank, outbox_days=90)
    assert remove(bank, most_parts=1) == {"outbox": 1}
    keep(bank, outbox_days=0)
    assert remove(bank) == {}
    bank.wait(30)
    assert remove(bank) == {}
    assert told(bank) == ids(bank, "second", "third")


def test_a_policy_that_is_taken_back_after_a_worker_read_it_removes_nothing(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything would be old, as it is kept for no days."""
    monkeypatch.setattr(retention.runs, "policies", lambda _: [(bank.of, "outbox")])
    assert remove(bank) == {}
    assert told(bank) == ids(bank, "first", "second", "third")
    assert line(bank, "outbox").last_run is None


def test_a_clock_that_is_years_ahead_removes_no_more_than_a_week(bank: Bank) -> None:
    keep(bank, outbox_days=90)
    assert remove(bank) == {"outbox": 2}
    bank.wait(1)
    bank.put("fifth", country="KP")
    bank.settle()
    right = bank.now
    bank.now += 10 * YEAR * DAY_US
    assert remove(bank) == {}
    bank.now = right
    assert told(bank) == ids(bank, "third", "fifth")
    bank.wait(100)
    for _ in range(13):
        bank.wait(2)
        remove(bank)
    assert told(bank) == ids(bank, "fifth"), "a run that was dated ahead holds nobody up"


@pytest.mark.postgresql
def test_what_was_dated_ahead_is_not_old(bank: Bank) -> None:
    with Session(bank.engine) as session, session.begin():
        session.execute(text("UPDATE outbox SET at_us = at_us + :ahead"), {"ahead": 9 * YEAR * DAY_US})
    keep(bank, outbox_days=90)
    assert remove(bank) == {}


@pytest.mark.postgresql
def test_an_organisation_without_settings_or_with_another_policy_is_left_alone(bank: Bank) -> None:
    """A new organisation has chosen no levels, so it has no settings yet."""
    other = Bank(bank.engine, "other")
    with Session(bank.engine) as session, session.begin():
        session.execute(text("UPDATE outbox SET organisation_id = :of"), {"of": other.of})
    keep(bank, outbox_days=90)
    assert remove(bank) == {}
    keep(other, outbox_days=90)
    assert remove(bank) == {"outbox": 2}
    with Session(bank.engine) as session, session.begin():
        session.delete(session.get_one(OrganisationSettings, other.of))
    assert remove(bank) == {}


@pytest.mark.parametrize("days", [-1, 29, 36_526])
def test_a_dry_run_takes_no_days_that_a_policy_cannot_have(bank: Bank, days: int) -> None:
    with pytest.raises(ConfigError):
        line(bank, "outbox", days)


def test_a_dry_run_ends_soon(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PART_ROWS", 10)
    monkeypatch.setattr(retention, "MOST_LOOKED_ROWS", 50)
    many(bank, 100)
    shown = line(bank, "outbox", 90)
    assert (shown.whole, shown.removable) == (False, 59)
    assert len(told(bank)) == 103


def test_a_dry_run_looks_at_no_more_than_twenty_parts_of_a_kind_and_the_page_says_so() -> None:
    assert retention.MOST_LOOKED_ROWS == 20 * retention.PART_ROWS
    page = (Path(__file__).parents[3] / "docs" / "retention.md").read_text(encoding="utf-8")
    assert f"at most {retention.MOST_LOOKED_ROWS:,} old ones of a kind" in page


def test_a_dry_run_says_the_moment_of_the_oldest_row(bank: Bank) -> None:
    bank.wait(-200)
    bank.put("later", country="KP")
    bank.settle()
    bank.wait(200)
    bank.put("today", country="KP")
    bank.settle()
    shown = line(bank, "outbox", 90)
    assert (shown.removable, shown.oldest_us) == (3, bank.now - YEAR * DAY_US)


def test_what_is_planned_late_is_planned_before_it_goes(bank: Bank) -> None:
    """Planning is behind: the endpoint has seen nothing yet, and nothing goes until it has."""
    with Session(bank.engine) as session, session.begin():
        session.add(
            Endpoint(
                organisation_id=bank.of, url=URL, kinds=["level.reached"], secrets="", enabled=True,
                private_allowed=True, planned_id=0, created_us=bank.now,
            )
        )  # fmt: skip
    keep(bank, outbox_days=90)
    assert remove(bank) == {}
    assert plan_deliveries(bank.engine, bank.now) > 0
    bank.wait(1)
    assert remove(bank) == {}
    assert replace(line(bank, "outbox"), last_run=None).kept == 2


def test_a_kind_that_fails_holds_up_no_other(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the role of a worker may not delete in one of the tables."""

    def refuses(*_: object) -> None:
        raise RuntimeError("permission denied")

    keep(bank, outbox_days=90, reports_days=92)
    outbox = removing.REMOVALS["outbox"]
    monkeypatch.setitem(removing.REMOVALS, "outbox", outbox._replace(look=refuses))  # type: ignore[arg-type]  # it gives nothing
    with pytest.raises(RuntimeError):
        remove(bank)
    with Session(bank.engine) as session:
        assert [run.kind for run in session.scalars(select(RetentionRun))] == ["reports"]
