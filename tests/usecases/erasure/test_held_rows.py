"""What the retention policy must leave where a clock is wrong, or something happens while a worker removes."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.flows.analysis import analyse_flow
from fivefold.risk.facts.groups import links as groups
from fivefold.store.erasure import holds
from fivefold.store.erasure import retention as removing
from fivefold.store.erasure.old_rows import OldRows, ResumePoint, RetentionScope
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.flows import FlowRow, FlowRun, FlowVersion
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.erasure import retention
from fivefold.usecases.erasure.erase import set_legal_hold
from fivefold.usecases.ingest.links import LinkRow, put_links
from fivefold.usecases.webhooks import plan as delivering
from fivefold.usecases.webhooks.endpoints import replay_dead_letters
from tests.store.filling import filled_once
from tests.usecases import banks
from tests.usecases.banks import Bank
from tests.usecases.erasure.removals import YEAR, announce, keep, line, remove
from tests.usecases.erasure.test_removals import deliveries, endpoint, ids, told
from tests.usecases.flows.documents import INQUIRED, INQUIRY, flow_document


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    """Two customers whose levels were announced a year ago, and one of today."""
    made = Bank(engine)
    made.activate(banks.document({"country": banks.COUNTRY}))
    define_type(made.context, "customer", {}, links={"household": "shared", "owns": "directed"})
    announce(made)
    return made


def _hold(bank: Bank, folder: Path, name: str = "first", days: int = 100) -> None:
    set_legal_hold(bank.context, "customer", name, bank.now + days * DAY_US, "Court.", folder / "register")


def _meanwhile(bank: Bank, kind: str, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Let something happen between the look of a worker and its removal; on SQLite there is one writer: before both."""
    whole = removing.REMOVALS[kind]
    if bank.engine.dialect.name == "sqlite":
        happens()
        return

    def look(session: Session, scope: RetentionScope, reached: ResumePoint, most: int) -> OldRows:
        found = whole.look(session, scope, reached, most)
        if found.removable:
            happens()
        return found

    monkeypatch.setitem(removing.REMOVALS, kind, whole._replace(look=look))


@pytest.mark.postgresql
def test_a_hold_outlasts_a_clock_that_is_ahead(bank: Bank, tmp_path: Path) -> None:
    endpoint(bank, {"first": "dead"})
    keep(bank, outbox_days=90, deliveries_days=30)
    _hold(bank, tmp_path)
    assert "deliveries" not in remove(bank)
    bank.wait(2 * YEAR)
    assert "deliveries" not in remove(bank)
    bank.wait(-2 * YEAR)
    assert bank.id_of("first") in deliveries(bank)


@pytest.mark.postgresql
def test_what_arrived_stays_while_there_is_a_hold_also_without_a_policy(
    bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hold comes first in the order of deletion, and hides nothing behind it."""
    monkeypatch.setattr(delivering, "PRUNED_AT_ONCE", 1)
    endpoint(bank, {"first": "delivered", "second": "delivered"})
    _hold(bank, tmp_path)
    assert delivering.prune_deliveries(bank.engine, bank.now) == 1
    assert bank.id_of("first") in deliveries(bank)
    bank.wait(101)
    assert delivering.prune_deliveries(bank.engine, bank.now) == 1


@pytest.mark.postgresql
def test_a_delivery_that_is_sent_again_while_a_worker_removes_waits(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = endpoint(bank, {"first": "dead", "second": "dead"})
    keep(bank, deliveries_days=30)
    with bank.engine.begin() as connection:
        delivered = "UPDATE deliveries SET state = 'delivered', delivered_us = next_us WHERE entity_id = :second"
        connection.execute(text(delivered), {"second": bank.id_of("second")})
    _meanwhile(bank, "deliveries", monkeypatch, lambda: replay_dead_letters(bank.context, number))
    assert remove(bank) == {"deliveries": 1}, "and what the audit log is told is what went"
    assert deliveries(bank) == {bank.id_of("first"): "waiting"}


@pytest.mark.parametrize("kind", ["outbox", "deliveries"])
def test_a_hold_that_comes_while_a_worker_removes_holds(
    bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    if kind == "deliveries":
        endpoint(bank, {"first": "dead", "second": "dead"})
    keep(bank, **({"outbox_days": 90} if kind == "outbox" else {"deliveries_days": 30}))
    _meanwhile(bank, kind, monkeypatch, lambda: _hold(bank, tmp_path))
    assert remove(bank) == {kind: 1}
    left = told(bank) if kind == "outbox" else list(deliveries(bank))
    assert bank.id_of("first") in left
    assert bank.id_of("second") not in left


@pytest.mark.postgresql
def test_events_that_were_dated_ahead_hide_no_old_ones(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    with bank.engine.begin() as connection:
        ahead = {"at": bank.now + 9 * YEAR * DAY_US, "first": bank.id_of("first")}
        connection.execute(text("UPDATE outbox SET at_us = :at WHERE entity_id = :first"), ahead)
    monkeypatch.setattr(retention, "PART_ROWS", 1)
    keep(bank, outbox_days=90)
    assert (line(bank, "outbox").removable, line(bank, "outbox").whole) == (1, True)
    assert remove(bank) == {"outbox": 1}
    assert told(bank) == ids(bank, "first", "third")


@pytest.mark.postgresql
def test_two_workers_whose_clocks_are_apart_begin_one_run_each(bank: Bank) -> None:
    keep(bank, outbox_days=90)
    remove(bank)
    begun = 0
    for ahead in (0, 300) * 6:
        bank.wait(ahead)
        begun += retention.remove_next_parts(bank.engine, bank.now)
        bank.wait(-ahead)
    assert begun == 1, "the other one's; that of this clock was before"
    bank.wait(1)
    assert retention.remove_next_parts(bank.engine, bank.now), "a run a day"


LINKS = {
    "a household": [LinkRow("first", "household", "H"), LinkRow("third", "household", "H")],
    "a link to who is on hold": [LinkRow("first", "owns", "third")],
    "a link from who is on hold": [LinkRow("third", "owns", "first")],
}


@pytest.mark.parametrize("what", LINKS)
def test_a_hold_on_one_who_is_linked_holds(bank: Bank, tmp_path: Path, what: str) -> None:
    put_links(bank.context, "customer", [*LINKS[what], LinkRow("second", "household", "another")])
    bank.settle()
    endpoint(bank, {"first": "dead", "second": "dead"})
    keep(bank, deliveries_days=30)
    _hold(bank, tmp_path, "third")
    assert line(bank, "deliveries").kept == 1
    assert remove(bank) == {"deliveries": 1}
    assert list(deliveries(bank)) == ids(bank, "first")


def test_what_too_many_share_links_nobody(bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert holds.MOST_LINKED == groups.MOST_LINKED, "as for rules"
    put_links(bank.context, "customer", [LinkRow(name, "household", "H") for name in ("first", "second", "third")])
    _hold(bank, tmp_path, "third")
    keep(bank, outbox_days=90)
    assert line(bank, "outbox").kept == 2
    monkeypatch.setattr(holds, "MOST_LINKED", 1)
    assert (line(bank, "outbox").kept, line(bank, "outbox").removable) == (0, 2)


def test_too_many_directed_links_count_only_for_the_other_ends(
    bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_links(bank.context, "customer", [LinkRow("first", "owns", name) for name in ("second", "third")])
    bank.settle()
    _hold(bank, tmp_path, "third")
    keep(bank, outbox_days=90)
    monkeypatch.setattr(holds, "MOST_LINKED", 2)
    assert line(bank, "outbox").kept == 1, "of first; two are not too many"
    monkeypatch.setattr(holds, "MOST_LINKED", 1)
    assert line(bank, "outbox").kept == 0
    _hold(bank, tmp_path, "first")
    assert line(bank, "outbox").kept == 2, "and second, who has one link, to first"


RUNS = {"waits": ("waiting", True, None), "was given up": ("quarantined", True, None)}
OVER = {"came to its end": ("ended", True, 1), "is a shadow's": ("waiting", False, None)}


@pytest.mark.parametrize(("state", "acting", "ended_us", "kept"), [(*RUNS[name], 1) for name in RUNS] + [(*OVER[name], 0) for name in OVER])  # fmt: skip # noqa: E501 (a row of the table)
def test_a_run_of_a_flow_that_is_not_over_holds(
    bank: Bank, state: str, acting: bool, ended_us: int | None, kept: int
) -> None:
    keep(bank, outbox_days=90)
    flow_run(bank, "first", state=state, acting=acting, ended_us=ended_us)
    assert (line(bank, "outbox").kept, line(bank, "outbox").removable) == (kept, 2 - kept)
    assert remove(bank) == {"outbox": 2 - kept}
    assert (bank.id_of("first") in told(bank)) == bool(kept)


def flow_run(bank: Bank, name: str, **columns: object) -> None:
    """Put a run about a customer there, as one of a flow that asks a person."""
    document = flow_document(steps=[INQUIRY], examples=INQUIRED)
    flow = analyse_flow(document).flow
    with Session(bank.engine) as session, session.begin():
        kind = session.get_one(Entity, bank.id_of(name)).type_id
        row = FlowRow(organisation_id=bank.of, type_id=kind, name=flow.name, created_us=bank.now)
        session.add(row)
        session.flush()
        version = FlowVersion(
            organisation_id=bank.of,
            flow_id=row.id,
            number=1,
            document=document,
            canonical=flow.canonical,
            content_hash=flow.content_hash,
            pinned={},
            tests={},
            editors=["member:8"],
            committed_by="member:8",
            committed_us=bank.now,
        )
        session.add(version)
        session.flush()
        run = {"cause": "call:k", "about": {"kind": "call"}, "begun_us": bank.now, "actor": "member:1"}
        of = {"organisation_id": bank.of, "flow_id": row.id, "version_id": version.id, "entity_id": bank.id_of(name)}
        session.add(FlowRun(**of, **run, **columns))
