"""Moments that a clock ahead set to its own now: after the repair levels are those of a right clock."""

from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, now_microseconds
from fivefold.store.tables.entities import Link, Ownership, Tag, TagEnd
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.ingest.facts import end_tag, set_tag
from fivefold.usecases.ingest.links import LinkRow, put_links
from fivefold.usecases.levels.clock_repair import read_clocks, repair_dates
from fivefold.usecases.shared import context
from fivefold.usecases.shared.entity_checks import OwnerGiven
from tests.store.audits import bind_unnamed
from tests.usecases import banks
from tests.usecases.banks import Bank
from tests.usecases.flows.flowing import LARGE, FlowBank

YEAR_US = 365 * DAY_US


@pytest.fixture
def bank(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Bank:
    """A bank of today, whose audit log goes by the same clock as everything else."""
    made = Bank(engine)
    made.now = now_microseconds() - 10 * DAY_US
    monkeypatch.setattr(context, "now_microseconds", lambda: made.now)
    return made


def prepare(bank: Bank) -> None:
    """Let `a`, `b` and `given` have a tag, `before` and `of` own accounts, and `back` have left a household."""
    define_type(bank.context, "customer", {}, links={"household": "shared", "owns": "directed"})
    bank.add_type("account", {}, {"operation": "text"})
    bank.activate(banks.document({"watch": banks.WATCH, "cash": banks.CASH}))
    for name in ("a", "b", "given", "before", "after", "of", "stays", "back"):
        bank.put(name)
    bank.put("account", ("customer", "before"), "account")
    bank.put("joint", None, "account", [OwnerGiven("customer", "of"), OwnerGiven("customer", "stays")])
    for name in ("a", "b", "given"):
        set_tag(bank.context, "customer", name, "watch")
    put_links(bank.context, "customer", [LinkRow("back", "household", "H", None, bank.now - 9)])
    bank.settle()


def act(bank: Bank, given_us: int) -> None:
    """End what is there now, and give ends of later on purpose."""
    of = bank.context
    end_tag(of, "customer", "a", "watch")
    set_tag(of, "customer", "b", "watch", until_us=given_us)
    set_tag(of, "customer", "given", "watch", until_us=given_us)
    bank.put("account", ("customer", "after"), "account")
    bank.put("joint", None, "account", [OwnerGiven("customer", "stays", None, given_us)])
    put_links(of, "customer", [LinkRow("back", "household", "H"), LinkRow("a", "owns", "b", given_us)])


def stored(bank: Bank) -> dict[str, list[Any]]:
    with Session(bank.engine) as session:
        rows = {
            "tags": session.execute(select(Tag.entity_id, Tag.from_us, Tag.until_us).order_by(Tag.id)).all(),
            "owners": session.execute(
                select(Ownership.owner_id, Ownership.from_us, Ownership.until_us).order_by(Ownership.id)
            ).all(),
            "links": session.execute(select(Link.entity_id, Link.from_us, Link.until_us).order_by(Link.id)).all(),
        }
    return {name: [tuple(row) for row in of] for name, of in rows.items()}


NAMES = ("a", "b", "given", "before", "after", "of", "stays")


def pay_and_assess(bank: Bank) -> list[int | None]:
    bank.now = now_microseconds()
    for number, account in enumerate(("account", "joint")):
        bank.pay(number, account, "account")
    bank.settle()
    bank.settle()
    return [bank.level(name) for name in NAMES]


@pytest.mark.postgresql
@pytest.mark.parametrize("worker", [True, False], ids=["a worker too", "no worker"])
def test_what_a_clock_ahead_ended_or_began_now_is_so_from_the_repair_on(bank: Bank, *, worker: bool) -> None:
    prepare(bank)
    given = now_microseconds() + 3 * YEAR_US
    bank.now += YEAR_US
    ahead = bank.now
    act(bank, given)
    if worker:
        bank.settle()
    counted = {each.kind: each.entries for each in read_clocks(bank.engine).ahead}
    assert counted.items() >= {"ends of tags": 3, "ends of ownerships": 2, "links": 1}.items()
    repair_dates(bank.engine, "cli:op", "NTP was off")
    assert read_clocks(bank.engine).ahead == []
    moments = [moment for rows in stored(bank).values() for row in rows for moment in row[1:]]
    assert not [moment for moment in moments if moment is not None and now_microseconds() < moment != given]
    assert moments.count(given) == 4, "what was given on purpose stays"
    assert ahead not in moments
    # a's tag is off; the tags with given ends hold; facts of the accounts count for those who own them now.
    assert pay_and_assess(bank) == [1, 3, 3, 1, 2, 1, 2]
    bind_unnamed(bank.engine)
    findings: list[object] = []
    assert verify(bank.engine, findings.append).findings == 0, findings


@pytest.mark.postgresql
def test_the_same_by_a_right_clock(bank: Bank) -> None:
    prepare(bank)
    bank.now = now_microseconds()
    act(bank, now_microseconds() + 3 * YEAR_US)
    assert pay_and_assess(bank) == [1, 3, 3, 1, 2, 1, 2]


def test_a_fact_of_an_account_makes_its_owner_due_at_the_repair_too(bank: Bank) -> None:
    prepare(bank)
    bank.now += YEAR_US
    bank.pay(1, "account", "account")
    repair_dates(bank.engine, "cli:op", "NTP was off")
    due = bank.next_us("before")
    assert due is not None
    assert due <= now_microseconds()


def test_a_tag_that_a_flow_gave_for_days_lasts_as_long_from_the_repair_on(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = FlowBank(engine)
    bank.now = now_microseconds() + YEAR_US
    monkeypatch.setattr(context, "now_microseconds", lambda: bank.now)
    bank.add_flow(LARGE)
    bank.post(1, 500.0)
    bank.work()
    repair_dates(engine, "cli:op", "NTP was off")
    with Session(engine) as session:
        [tag] = session.scalars(select(Tag))
        [end] = session.scalars(select(TagEnd.due_us))
    assert tag.from_us <= now_microseconds()
    assert tag.until_us == end == tag.from_us + 30 * DAY_US
