"""What waits and who works on it: as stored, as of when, and never a zero that is none."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from fivefold.domain.errors import StoreError
from fivefold.features.reading.text_files import ColumnMap
from fivefold.store.monitoring import operations as store
from fivefold.store.sql.database import writing
from fivefold.store.tables.audit import AuditEntry
from fivefold.store.tables.operations import WorkerRow
from fivefold.usecases.accounts.organisations import actor_in_new, add_member
from fivefold.usecases.audit.record import export_heads
from fivefold.usecases.audit.verify import prove, read_proof
from fivefold.usecases.ingest.files import ImportFile, import_table
from fivefold.usecases.ingest.import_progress import list_imports
from fivefold.usecases.monitoring import operations
from fivefold.usecases.monitoring.operations import read_figures
from fivefold.usecases.monitoring.statistics import PlatformFigures
from fivefold.usecases.shared.context import Context
from tests.store.audits import forged
from tests.usecases import platforms
from tests.usecases.banks import Bank

pytestmark = pytest.mark.postgresql
SECOND = 1_000_000


@pytest.fixture
def bank(engine: Engine) -> Bank:
    return Bank(engine)


def other(bank: Bank) -> Context:
    """Another organisation."""
    return Context(bank.engine, platforms.actor(platforms.organisation(bank.engine, "other")), lambda: bank.now)


def test_who_is_due_is_counted_of_this_organisation_alone(bank: Bank) -> None:
    bank.put("a", country="SE")
    bank.put("b", country="SE")
    figures = read_figures(bank.context)
    assert figures.assessments is not None
    assert (figures.assessments.due, figures.assessments.quarantined) == (2, 0)
    assert figures.assessments.oldest_us == bank.now
    names = {"assessments", "deliveries", "backtests", "flow_runs", "received", "workers", "proof"}
    assert set(figures.as_of) == names
    assert figures.stale == ()
    theirs = read_figures(other(bank))
    assert theirs.assessments == operations.AssessmentsWaiting(due=0, oldest_us=None, quarantined=0)
    assert theirs.backtests == operations.BacktestsWaiting(queued=0, running=0, oldest_us=None)


def test_a_feed_that_stopped_is_seen_whatever_else_comes(bank: Bank) -> None:
    """Facts go on to come, and transactions that were known before come again: neither is a new transaction."""

    def received(context: Context) -> int | None:
        figures = read_figures(context).received
        assert figures is not None
        (mine,) = [each for each in PlatformFigures(bank.engine, lambda: bank.now).read() if each.number == bank.of]
        assert context is not bank.context or mine.added_us == figures.transactions_us
        return figures.transactions_us

    bank.put("a", country="SE")
    assert received(bank.context) is None
    bank.pay(1)
    day, added = bank.day, received(bank.context)
    assert added is not None
    bank.wait(days=2)
    bank.pay(1, transaction_date=day)
    bank.put("a", country="NO")
    assert received(bank.context) == added
    assert received(other(bank)) is None
    bank.pay(2)
    assert (received(bank.context) or 0) > added


def test_a_figure_that_cannot_be_read_is_the_last_one_and_says_so(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = other(bank)
    bank.put("a", country="SE")
    before = read_figures(bank.context)

    def locked(*_: object) -> None:
        raise StoreError("the database is locked")

    monkeypatch.setattr(operations, "queue_depth", locked)
    bank.wait(days=1)
    bank.put("b", country="SE")
    figures = read_figures(bank.context)
    assert figures.assessments == before.assessments
    assert figures.stale == ("assessments",)
    assert figures.as_of["assessments"] == before.as_of["assessments"] < figures.as_of["workers"]
    never = read_figures(stranger)
    assert (never.assessments, never.stale, "assessments" in never.as_of) == (None, ("assessments",), False)


def test_a_worker_is_seen_until_it_ends_and_missed_where_it_was_killed(bank: Bank) -> None:
    def states(now: int) -> list[str]:
        return [worker.state for worker in read_figures(bank.context.at(now)).workers or ()]

    clock = [bank.now]
    with operations.noted(bank.engine, lambda: clock[0]) as keep_noting:
        stop = threading.Event()
        stop.set()
        keep_noting(stop)
        assert states(clock[0] + operations.MISSED_US - 1) == ["running"]
        assert states(clock[0] + operations.MISSED_US) == ["missing"]
        clock[0] += 600 * SECOND
    assert states(clock[0]) == ["ended"]
    assert states(clock[0] + operations.RECENT_US + 1) == []
    with Session(bank.engine) as session, session.begin():
        killed = store.add_worker(session, clock[0], clock[0], clock[0] - operations.KEPT_US)
    assert states(clock[0] + 5 * operations.RECENT_US) == ["missing"]
    later = clock[0] + operations.KEPT_US + 1
    with Session(bank.engine) as session, session.begin():
        store.add_worker(session, later, later, clock[0] + 1)
        assert session.get(WorkerRow, killed) is None


def test_a_worker_notes_itself_again_and_again(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "NOTED_EVERY_SECONDS", 0.001)
    ticks = iter(range(1, 10_000_000))
    stop = threading.Event()
    with operations.noted(bank.engine, lambda: next(ticks)) as keep_noting:
        thread = threading.Thread(target=keep_noting, args=(stop,))
        thread.start()
        while True:
            with Session(bank.engine) as session:
                if session.query(WorkerRow).one().seen_us > 4:
                    break
        stop.set()
        thread.join()


def test_a_worker_is_noted_as_soon_as_the_database_is_there_and_again_when_its_row_is_gone(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [bank.now]
    is_away = [True]

    @contextmanager
    def reaching(engine: Engine) -> Iterator[Session]:
        if is_away[0]:
            raise StoreError("out of reach")
        with writing(engine) as session:
            yield session

    class Once(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            found = self.is_set()
            self.set()
            return found

    def rows() -> list[tuple[int, int, int | None]]:
        with Session(bank.engine) as session:
            found = session.scalars(select(WorkerRow).order_by(WorkerRow.id))
            return [(row.started_us - bank.now, row.seen_us - bank.now, row.ended_us) for row in found]

    monkeypatch.setattr(operations, "writing", reaching)
    with operations.noted(bank.engine, lambda: clock[0]) as keep_noting:
        assert rows() == []
        is_away[0] = False
        clock[0] += SECOND
        keep_noting(Once())
        assert rows() == [(0, SECOND, None)]
        clock[0] += operations.KEPT_US + SECOND
        with operations.noted(bank.engine, lambda: clock[0]):  # its start deletes the row, and may take the number
            last = clock[0] - bank.now
            keep_noting(Once())
            assert sorted(rows()) == [(0, last, None), (last, last, None)]
    assert [ended for _, _, ended in rows()] == [clock[0]] * 2


def test_a_proof_is_noted_with_when_and_with_what_it_was_compared(engine: Engine, tmp_path: Path) -> None:
    context = Context(engine, actor_in_new(engine, "bank", "cli:test"))
    add_member(context, "ana", ["admin"])
    assert read_proof(context) is None
    found: list[object] = []
    verified = prove(engine, found.append)
    proof = read_proof(context)
    assert found == []
    assert proof is not None
    assert (proof.entries, proof.findings, proof.heads_us) == (verified.entries, 0, None)
    assert proof.whole_us == proof.at_us
    heads = export_heads(engine, tmp_path / "heads.json")
    with forged(engine) as connection:
        connection.execute(update(AuditEntry).where(AuditEntry.number == 1).values(actor="member:9"))
    prove(engine, found.append, exported=heads)
    broken = read_proof(context)
    assert broken is not None
    assert broken.findings == len(found) > 0
    assert broken.heads_us == heads.exported_us
    assert broken.whole_us == proof.at_us < broken.at_us
    assert read_proof(Context(engine, actor_in_new(engine, "other", "cli:test"))) is None


def test_an_import_is_seen_while_it_goes_on_and_once_it_is_done(bank: Bank, tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    path.write_text("entity_id,country\na,SE\nb,SE\nc,??\n")
    seen: list[tuple[int, bool]] = []

    def look(_: object) -> None:
        line = list_imports(bank.context)[0]
        seen.append((line.rows, line.finished_us is not None))

    file = ImportFile(path, ColumnMap.read([]), None)
    done = import_table(bank.context, "entities", "customer", file, look)
    assert seen[0] == (0, False)
    assert seen[-1] == (3, True)
    (line,) = list_imports(bank.context)
    assert (line.file, line.content, line.entity_type) == ("customers.csv", "entities", "customer")
    assert (line.new, line.refused) == (done.new, done.refused) == (2, 1)
    import_table(bank.context, "entities", "customer", file, look)
    assert [line.same for line in list_imports(bank.context)] == [2, 0]
    assert list_imports(other(bank)) == []
