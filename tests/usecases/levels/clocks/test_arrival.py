"""What was said last holds, also where it was said by a right clock after a clock that was ahead."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, SECOND_US, now_microseconds
from fivefold.domain.errors import ConflictError, InvalidDataError
from fivefold.store.tables.entities import Correction, OrganisationSettings, Ownership, Screening, Tag
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.ingest.bulk_facts import ScreeningRow, TagRow, add_screenings, put_tags
from fivefold.usecases.ingest.facts import add_screening, end_tag, set_tag
from fivefold.usecases.ingest.transactions import add_transactions
from fivefold.usecases.levels.clock_repair import read_clocks, repair_dates
from fivefold.usecases.shared import context
from tests.store.audits import bind_unnamed
from tests.usecases import banks
from tests.usecases.banks import Bank

HOUR_US = DAY_US // 24
MINUTE_US = HOUR_US // 60
LOW, MEDIUM, HIGH = 1, 2, 3
AHEAD = pytest.mark.parametrize("ahead", [50 * SECOND_US, HOUR_US], ids=["50 seconds", "an hour"])


@pytest.fixture
def bank(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Bank:
    """A bank of today, whose audit log goes by the same clock as everything else."""
    made = Bank(engine)
    made.now = now_microseconds()
    monkeypatch.setattr(context, "now_microseconds", lambda: made.now)
    made.add_type("account", {}, {"operation": "text"})
    hit = {"cases": [{"when": {"screening": "sanctions", "is": "present"}, "points": 1, "floor": "high"}]}
    made.activate(banks.document({"cash": banks.CASH, "watch": banks.WATCH, "hit": hit}, cooldown="1 day"))
    for name in ("a", "o1", "o2"):
        made.put(name)
    made.pay(1)
    made.settle()
    return made


def say(bank: Bank, ahead: int, first: Callable[[], object], last: Callable[[], object]) -> None:
    """Let something be said by a clock that is ahead, and something else ten seconds later by a right one."""
    begun = bank.now
    bank.now = begun + ahead
    first()
    bank.now = begun + 10 * SECOND_US
    last()


def two_days_later(bank: Bank) -> int | None:
    """Repair what is dated ahead, assess twice, before and after that clock's moment, and give the level."""
    if read_clocks(bank.engine).ahead:
        repair_dates(bank.engine, "cli:op", "NTP was off")
    bank.now = max(now_microseconds(), bank.now)
    bank.settle()
    bank.wait(2)
    bank.mark("a")
    bank.settle()
    bind_unnamed(bank.engine)
    findings: list[object] = []
    assert verify(bank.engine, findings.append).findings == 0, findings
    return bank.level()


def screen(bank: Bank, *, has_match: bool, at_us: int | None = None) -> None:
    add_screening(bank.context, "customer", "a", "sanctions", has_match=has_match, at_us=at_us)


@pytest.mark.postgresql
@AHEAD
@pytest.mark.parametrize("given", ["none", "one", "file"])
def test_a_match_that_came_last_holds(bank: Bank, ahead: int, given: str) -> None:
    def last() -> None:
        if given == "file":
            add_screenings(bank.context, "customer", [ScreeningRow("a", "sanctions", True, bank.now - 1)])
        else:
            screen(bank, has_match=True, at_us=bank.now - 1 if given == "one" else None)

    say(bank, ahead, lambda: screen(bank, has_match=False), last)
    with Session(bank.engine) as session:
        assert max(session.scalars(select(Screening.at_us))) <= bank.now
    assert two_days_later(bank) == HIGH


def clean(bank: Bank, given: str) -> None:
    if given == "file":
        add_screenings(bank.context, "customer", [ScreeningRow("a", "sanctions", False, bank.now)])
    else:
        screen(bank, has_match=False)


@AHEAD
@pytest.mark.parametrize("given", ["one", "file"])
def test_a_match_by_a_clock_ahead_is_not_taken_back_by_one_person(bank: Bank, ahead: int, given: str) -> None:
    with Session(bank.engine) as session, session.begin():
        session.get_one(OrganisationSettings, bank.of).two_people_promote = True
    with pytest.raises((ConflictError, InvalidDataError), match="would fall"):
        say(bank, ahead, lambda: screen(bank, has_match=True), lambda: clean(bank, given))
    assert two_days_later(bank) == HIGH


@AHEAD
@pytest.mark.parametrize("given", ["one", "file"])
def test_a_match_by_a_clock_ahead_goes_back_where_a_clean_one_follows(bank: Bank, ahead: int, given: str) -> None:
    say(bank, ahead, lambda: screen(bank, has_match=True), lambda: clean(bank, given))
    with Session(bank.engine) as session:
        assert [*session.scalars(select(Screening.at_us))] == [bank.now, bank.now]


@AHEAD
def test_a_match_by_a_clock_ahead_does_not_yield_to_a_clean_one_of_an_earlier_day(bank: Bank, ahead: int) -> None:
    def last() -> None:
        screen(bank, has_match=True, at_us=bank.now - DAY_US)

    say(bank, ahead, lambda: screen(bank, has_match=True), last)
    with Session(bank.engine) as session:
        newest = session.scalars(select(Screening).where(Screening.found).order_by(Screening.at_us.desc())).first()
    assert newest is not None
    assert newest.at_us == newest.recorded_us == bank.now


def correct(bank: Bank, number: str, amount: float) -> None:
    row = {"transaction_id": number, "corrects": "t1", "correction_reason": "typed wrong", "transaction_amount": amount}
    add_transactions(bank.context, [row])


@pytest.mark.postgresql
@AHEAD
def test_a_correction_that_came_last_holds(bank: Bank, ahead: int) -> None:
    say(bank, ahead, lambda: correct(bank, "c1", 10.0), lambda: correct(bank, "c2", 5000.0))
    with Session(bank.engine) as session:
        known, counts = zip(*session.execute(select(Correction.known_us, Correction.counts_from_us)), strict=True)
    assert max(known) > bank.now >= max(counts)
    assert two_days_later(bank) == MEDIUM


@pytest.mark.postgresql
@AHEAD
def test_an_owner_who_was_said_last_owns(bank: Bank, ahead: int) -> None:
    bank.put("x", ("customer", "o1"), "account")
    bank.settle()
    counts = []
    say(
        bank,
        ahead,
        lambda: bank.put("x", ("customer", "o2"), "account"),
        lambda: counts.append(bank.put("x", ("customer", "o1"), "account")),
    )
    assert (counts[0].new, counts[0].changed) == (0, 1)
    now = bank.now
    two_days_later(bank)
    names = {bank.id_of(name): name for name in ("o1", "o2")}
    with Session(bank.engine) as session:
        spans = session.execute(
            select(Ownership.owner_id, Ownership.from_us, Ownership.until_us).order_by(Ownership.id)
        ).all()
    assert [(names[owner], begin, end) for owner, begin, end in spans] == [
        ("o1", None, now),
        ("o2", None, now),
        ("o1", now, None),
    ]


@pytest.mark.postgresql
@AHEAD
@pytest.mark.parametrize("by_file", [False, True], ids=["one", "file"])
def test_a_tag_that_ended_last_is_gone(bank: Bank, ahead: int, *, by_file: bool) -> None:
    def last() -> None:
        until = bank.now + 2 * SECOND_US
        if by_file:
            put_tags(bank.context, "customer", [TagRow("o1", "watch", None, until)])
        else:
            end_tag(bank.context, "customer", "o1", "watch")

    bank.settle()
    say(bank, ahead, lambda: set_tag(bank.context, "customer", "o1", "watch"), lambda: None)
    last()
    two_days_later(bank)
    with Session(bank.engine) as session:
        [tag] = session.scalars(select(Tag))
    assert tag.until_us is not None
    assert tag.until_us < bank.now


@AHEAD
@pytest.mark.parametrize("until_minutes", [None, 30])
@pytest.mark.parametrize("by_file", [False, True], ids=["one", "file"])
def test_a_tag_set_again_by_a_right_clock_holds_from_then_on(
    bank: Bank, ahead: int, until_minutes: int | None, *, by_file: bool
) -> None:
    def last() -> None:
        until = None if until_minutes is None else bank.now + until_minutes * MINUTE_US
        if by_file:
            assert put_tags(bank.context, "customer", [TagRow("a", "watch", None, until)]).changed == 1
        else:
            assert set_tag(bank.context, "customer", "a", "watch", until_us=until)

    say(bank, ahead, lambda: set_tag(bank.context, "customer", "a", "watch"), last)
    now = bank.now
    bank.wait(microseconds=1)
    bank.settle()
    assert bank.level() == HIGH
    with Session(bank.engine) as session:
        assert set(session.scalars(select(Tag.from_us))) == {now}
    two_days_later(bank)  # the cooldown begins with the first assessment after its end
    assert two_days_later(bank) == (HIGH if until_minutes is None else MEDIUM)


@AHEAD
@pytest.mark.parametrize("by_file", [False, True], ids=["one", "file"])
def test_a_match_of_an_earlier_year_takes_no_clean_one_back_with_it(bank: Bank, ahead: int, *, by_file: bool) -> None:
    def last() -> None:
        at = bank.now - 700 * DAY_US
        if by_file:
            add_screenings(bank.context, "customer", [ScreeningRow("a", "sanctions", True, at)])
        else:
            screen(bank, has_match=True, at_us=at)

    say(bank, ahead, lambda: screen(bank, has_match=False), last)
    with Session(bank.engine) as session:
        [clean] = session.scalars(select(Screening).where(Screening.found.is_(False)))
    assert clean.at_us == clean.recorded_us == bank.now
    assert two_days_later(bank) == MEDIUM
