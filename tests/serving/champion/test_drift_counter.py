"""The counter: everyone who was answered is counted once a week, and nothing but counts is kept."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from fivefold.domain.clock import DAY_US, parse_moment
from fivefold.features.histories import Integers
from fivefold.models.drift import LEAST_CUSTOMERS, DriftReference
from fivefold.serving.champion import drift_counter as counter
from fivefold.serving.champion.drift_counter import DriftCounter
from fivefold.serving.champion.loader import ServedModel
from fivefold.store.tables.accounts import DriftCount
from fivefold.usecases.monitoring.drift import drift_key
from fivefold.usecases.scoring import ScoredRows, check_rows, score_checked
from tests.models.making import AS_OF, known_matrix, value_model
from tests.serving.inprocess import rows_of
from tests.store import databases

NOON = parse_moment("2026-11-20T12:00:00Z")


@cache
def served() -> ServedModel:
    return ServedModel(value_model(), 1, "value")


@pytest.fixture(params=databases.KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with databases.opened(databases.new_url(request.param, tmp_path)) as opened:
        yield opened


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A clock that a test sets: its only item."""
    clock = [NOON]
    monkeypatch.setattr(counter, "now_microseconds", lambda: clock[0])
    return clock


def answer(*users: str, **changes: object) -> ScoredRows:
    model = served().model
    return score_checked(model, check_rows(model, rows_of(*users, **changes), as_of=AS_OF, now=AS_OF), explained=False)


def many(customers: int) -> ScoredRows:
    """An answer to as many customers, from those that are simulated."""
    matrix = np.resize(known_matrix(), (customers, known_matrix().shape[1]))
    return ScoredRows(
        user_ids=[str(number) for number in range(customers)],
        scores=served().model.scores(matrix),
        matrix=matrix,
        explanations=None,
    )


def add(made: DriftCounter, model: ServedModel, scored: ScoredRows, organisation_id: int = 1) -> None:
    made.add(model, scored, organisation_id)


def kept(engine: Engine) -> dict[tuple[str, int, str], Integers]:
    with Session(engine) as session:
        found = session.scalars(select(DriftCount))
        return {(one.model.partition("@")[0], one.version, one.day): np.array(one.counts) for one in found}


def counts_of(*answers: ScoredRows) -> Integers:
    counts = served().model.reference.empty()
    for one in answers:
        served().model.reference.count(counts, one.matrix, one.scores.score)
    return counts


def test_counts_are_those_of_the_buckets(engine: Engine, now: list[int]) -> None:
    made, answers = DriftCounter(engine), [answer("a", "b"), answer("a", user_balance=9e6), many(50)]
    for one in answers:
        add(made, served(), one)
    assert kept(engine) == {}
    made.store()
    ((key, counts),) = kept(engine).items()
    assert key == ("value", 1, "2026-11-16")
    assert counts.tolist() == counts_of(answers[0], answers[2]).tolist(), "a was counted before"
    assert set(counts.sum(axis=1).tolist()) == {52}


def test_one_customer_who_is_asked_about_often_is_one(engine: Engine, now: list[int]) -> None:
    made, one = DriftCounter(engine), answer("a")
    for _ in range(LEAST_CUSTOMERS):
        add(made, served(), one)
    add(made, served(), one, organisation_id=2)  # another organisation's customer of the same name
    made.store()
    assert {(drift.verdict, drift.customers) for drift in made.drift} == {("unknown", 2)}


def test_those_who_are_asked_about_most_do_not_look_like_a_shift(engine: Engine, now: list[int]) -> None:
    """An application asks about its active customers more often; the portfolio is the same."""
    made, everyone = DriftCounter(engine), many(len(known_matrix()))
    own = replace(served(), model=replace(served().model, reference=_reference_of_everyone()))
    least = 1
    while (often := np.flatnonzero(everyone.scores.score >= least)).size and least <= 5:
        scores, ids = served().model.scores(everyone.matrix[often]), [everyone.user_ids[row] for row in often]
        for _ in range(least):
            add(made, own, everyone._replace(user_ids=ids, scores=scores, matrix=everyone.matrix[often]))
        least += 1
    made.store()
    assert max(drift.index or 0.0 for drift in made.drift) < 0.001, "but for marks that two customers share"
    assert "unknown" not in {drift.verdict for drift in made.drift}


def test_whom_the_marks_leave_out_is_decided_by_chance_and_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counter, "SEEN_BITS", 2**14)
    counts = counter._WeekCounts("worker", served().model.reference.empty(), bytearray(2**11))
    rows = counts.first_rows(1, [str(number) for number in range(1_000)])
    assert 950 <= len(rows) <= 990
    assert not counts.first_rows(1, [str(number) for number in range(1_000)])


def test_keeping_again_counts_nobody_twice(engine: Engine, now: list[int]) -> None:
    made = DriftCounter(engine)
    made.store()
    assert kept(engine) == {}
    for name in "abc":
        add(made, served(), answer(name))
        made.store()
        made.store()
    (counts,) = kept(engine).values()
    assert counts.tolist() == counts_of(*map(answer, "abc")).tolist()


@pytest.mark.parametrize("restarts", [True, False])
def test_another_model_of_the_same_number_is_counted_apart(engine: Engine, now: list[int], restarts: bool) -> None:
    """A registry that was rebuilt begins with number 1 again."""
    other = replace(served(), model=value_model("poisson"))
    assert drift_key("value", other.model) != drift_key("value", served().model)
    made = DriftCounter(engine)
    for found in (served(), other):
        made = DriftCounter(engine) if restarts else made
        add(made, found, many(LEAST_CUSTOMERS))
        made.store()
        assert {drift.customers for drift in made.drift} == {LEAST_CUSTOMERS}


def test_workers_are_added_up_by_whoever_measures(engine: Engine, now: list[int]) -> None:
    workers = [DriftCounter(engine) for _ in range(3)]
    for worker in workers:
        add(worker, served(), many(LEAST_CUSTOMERS))
        worker.store()
    with Session(engine) as session:
        assert len({one.worker for one in session.scalars(select(DriftCount))}) == 3
    assert [{drift.customers for drift in worker.drift} for worker in workers] == [{LEAST_CUSTOMERS}] * 3
    assert len({drift.index for worker in workers for drift in worker.drift if drift.name == "score"}) == 1


def test_the_same_portfolio_has_not_drifted_and_another_has(engine: Engine, now: list[int]) -> None:
    same, other = DriftCounter(engine), DriftCounter(engine)
    everyone = len(known_matrix())
    own = replace(served(), model=replace(served().model, reference=_reference_of_everyone()))
    add(same, own, many(everyone))
    same.store()
    assert {drift.verdict for drift in same.drift} == {"stable"}
    alike = np.repeat(known_matrix()[:1], LEAST_CUSTOMERS, axis=0)
    add(
        other,
        replace(own, version=2),
        ScoredRows(
            user_ids=[str(number) for number in range(LEAST_CUSTOMERS)],
            scores=own.model.scores(alike),
            matrix=alike,
            explanations=None,
        ),
    )
    other.store()
    assert other.drift[0].verdict == "shifted"


def _reference_of_everyone() -> DriftReference:
    matrix = known_matrix()
    return DriftReference.of(served().model.indicators, matrix, served().model.scores(matrix).score)


def test_weeks_and_versions_are_counted_apart_and_old_weeks_are_let_go(engine: Engine, now: list[int]) -> None:
    made = DriftCounter(engine)
    add(made, served(), answer("a"))
    add(made, replace(served(), version=2), answer("a", "b"))
    now[0] += 7 * DAY_US
    add(made, served(), answer("a", "b", "c"))
    made.store()
    sizes = {key[1:]: int(counts[0].sum()) for key, counts in kept(engine).items()}
    assert sizes == {(1, "2026-11-16"): 1, (2, "2026-11-16"): 2, (1, "2026-11-23"): 3}
    assert {key[1:] for key in made._counts} == {(1, "2026-11-23")}
    now[0] += 7 * DAY_US
    made.store()
    assert not made._counts
    add(made, served(), answer("a"))
    made.store()
    assert {key[1:]: int(counts[0].sum()) for key, counts in kept(engine).items()} == {
        **sizes,
        (1, "2026-11-30"): 1,
    }


def test_a_week_that_a_fast_clock_ended_is_counted_on(engine: Engine, now: list[int]) -> None:
    made = DriftCounter(engine)
    add(made, served(), many(LEAST_CUSTOMERS))
    now[0] += 10 * DAY_US
    made.store()
    assert not made._counts
    now[0] -= 10 * DAY_US
    add(made, served(), many(5))
    made.store()
    assert {drift.customers for drift in made.drift} == {LEAST_CUSTOMERS}
    with Session(engine) as session:
        assert sum(sum(one.counts[0]) for one in session.scalars(select(DriftCount))) == LEAST_CUSTOMERS + 5


def test_what_is_counted_while_its_week_is_stored_for_the_last_time_stays(
    engine: Engine, now: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, real = DriftCounter(engine), counter.keep_counts

    def slow(*words: object) -> None:
        real(*words)  # type: ignore[arg-type]  # passed on
        monkeypatch.setattr(counter, "keep_counts", real)
        now[0] = NOON
        add(made, served(), answer("b"))

    add(made, served(), answer("a"))
    monkeypatch.setattr(counter, "keep_counts", slow)
    now[0] += 10 * DAY_US
    made.store()
    made.store()
    assert {drift.customers for drift in made.drift} == {2}


def test_drift_is_of_the_version_that_was_counted_last(engine: Engine, now: list[int]) -> None:
    """After a rollback it is the older one again."""
    made = DriftCounter(engine)
    for version, customers in ((2, 5), (1, 3), (2, 1), (1, 4)):
        add(made, replace(served(), version=version), many(customers))
    made.store()
    assert {drift.customers for drift in made.drift} == {4}, "the first three were among the four"


def test_the_last_thirty_days_are_watched(engine: Engine, now: list[int]) -> None:
    made = DriftCounter(engine)
    for days, customers in ((0, 9), (7, 4), (30, 5)):
        now[0] = NOON + days * DAY_US
        add(made, served(), many(customers))
        made.store()
    assert {drift.customers for drift in made.drift} == {9}
    now[0] += 7 * DAY_US
    made.store()
    assert {drift.customers for drift in made.drift} == {5}


def test_the_end_keeps_what_was_counted(engine: Engine) -> None:
    made = DriftCounter(engine)
    made.start()
    add(made, served(), answer("a", "b"))
    made.stop()
    (counts,) = kept(engine).values()
    assert counts[0].sum() == 2
    assert not made._thread.is_alive()


def test_counts_are_kept_every_now_and_then(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counter, "STORE_SECONDS", 0.01)
    saved = threading.Event()
    real = counter.keep_counts

    def noted(*words: object) -> None:
        real(*words)  # type: ignore[arg-type]  # passed on
        saved.set()

    monkeypatch.setattr(counter, "keep_counts", noted)
    made = DriftCounter(engine)
    made.start()
    add(made, served(), answer("a"))
    assert saved.wait(10)
    made.stop()


def test_a_database_that_is_down_ends_nothing_and_its_words_are_not_logged(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counter, "STORE_SECONDS", 0.01)
    failed, go_on = threading.Event(), threading.Event()
    real = counter.keep_counts

    def down(*words: object) -> None:
        if not go_on.is_set():
            failed.set()
            message = "a word of the database"
            raise ConnectionError(message)
        real(*words)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(counter, "keep_counts", down)
    made = DriftCounter(engine)
    with capture_logs() as logs:
        made.start()
        add(made, served(), answer("a"))
        assert failed.wait(10)
        add(made, served(), answer("b"))
        go_on.set()
        made.stop()
    (counts,) = kept(engine).values()
    assert counts[0].sum() == 2
    assert logs[0] == {"event": "counts not stored", "error": "ConnectionError", "log_level": "warning"}
    assert "a word" not in repr(logs)


def test_nobody_is_lost_between_threads(engine: Engine, now: list[int]) -> None:
    made, one = DriftCounter(engine), answer("a")
    together = threading.Barrier(5)

    def ask(number: int) -> None:
        together.wait()
        for place in range(40):
            add(made, served(), one._replace(user_ids=[f"{number}-{place}"]))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    together.wait()
    for _ in range(5):
        made.store()
    for thread in threads:
        thread.join()
    made.store()
    (counts,) = kept(engine).values()
    assert counts.tolist() == counts_of(*[one] * 160).tolist()


def test_only_counts_are_kept(tmp_path: Path) -> None:
    with databases.opened(databases.new_url("sqlite", tmp_path)) as engine:
        made = DriftCounter(engine)
        add(made, served(), answer("MARKED-user", user_balance=7654321.25, transaction_amount=8765432.75))
        made.store()
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"2026" in stored
    for trace in (b"MARKED", b"7654321", b"8765432", np.float64(7654321.25).tobytes()):
        assert trace not in stored


def test_a_version_that_serves_is_compared_before_it_is_asked(engine: Engine, now: list[int]) -> None:
    serving = [served()]
    made = DriftCounter(engine, lambda: serving[0])
    add(made, served(), many(LEAST_CUSTOMERS))
    made.store()
    assert {drift.customers for drift in made.drift} == {LEAST_CUSTOMERS}
    serving[0] = replace(served(), version=2)
    made.store()
    assert {(drift.customers, drift.index) for drift in made.drift} == {(0, None)}
    restarted = DriftCounter(engine, served)
    restarted.store()
    assert {drift.customers for drift in restarted.drift} == {LEAST_CUSTOMERS}
