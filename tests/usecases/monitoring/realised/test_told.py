"""Who is due is told once until it held again, by the latest day that could be compared: over weeks and disorders."""

from dataclasses import replace
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ModelNotFoundError, RegistryError
from fivefold.domain.settings import Settings
from fivefold.models.registry import Registry
from fivefold.models.value_model import ValueModel
from fivefold.store.monitoring import predictions as store
from fivefold.store.sql.database import reading, writing
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.events import OutboxEvent
from fivefold.store.tables.predictions import PredictionDay
from fivefold.usecases.levels.value_scores import EntityScorer
from fivefold.usecases.monitoring.realised import judge
from fivefold.usecases.monitoring.realised.judge import LATE_DAYS, LEASE_US, judge_next
from fivefold.usecases.monitoring.realised.read import list_realised, verdicts_on
from tests.usecases.monitoring.realised.living import HORIZON_DAYS, SETTINGS, Living, Shelf, model
from tests.usecases.monitoring.realised.test_judge import due_events


def states(bank: Living) -> list[str | None]:
    return [day.state for day in bank.days()]


def shown_by_the_gauge(bank: Living) -> list[str]:
    with reading(bank.engine) as session:
        return [each.state for each in store.verdicts_now(session)]


def make_anew(bank: Living) -> None:
    """Let a registry that was made anew have another model under the same name and number."""
    made = replace(model(), definition={**model().definition, "deposit_fee": 0.5})
    assert made.content_hash != model().content_hash
    bank.shelf.models[1] = made
    bank.valuer = EntityScorer(made, "fivefold-value", 1)


def copies_of_the_day(bank: Living, changed: list[dict[str, Any]]) -> None:
    """Store the day again, each time with other contents."""
    with Session(bank.engine) as session, session.begin():
        day = session.scalars(select(PredictionDay)).one()
        columns = [column.name for column in PredictionDay.__table__.columns if column.name != "id"]
        first = {name: getattr(day, name) for name in columns}
        session.add_all(PredictionDay(**{**first, **each}) for each in changed)


def test_a_feed_that_is_two_days_late_tells_it_once(bank: Living) -> None:
    seen = set()
    for day in range(1, HORIZON_DAYS + 25):
        bank.wait(1)
        bank.pay_in(-3, -3, 0.001)
        if day in {7, 14, 21}:
            bank.keep()
        bank.judge()
        seen |= set(states(bank))
    assert seen == {None, "unknown", "due"}
    assert states(bank) == ["due"] * 4
    assert len(due_events(bank)) == 1


def test_what_held_since_and_is_due_again_is_told_again(bank: Living) -> None:
    bank.live(10, share=0.01)
    bank.keep()
    bank.live(HORIZON_DAYS, share=0.01)
    bank.judge()
    assert len(due_events(bank)) == 1
    with Session(bank.engine) as session, session.begin():
        last = bank.days()[-1]
        session.execute(update(PredictionDay).where(PredictionDay.id == last.id).values(state="holds", forgotten_us=1))
    bank.now = last.as_of_us
    for _ in range(2):
        bank.wait(7)
        bank.keep()
    bank.live(HORIZON_DAYS + 20, share=0.01)
    bank.judge()
    assert [event["predicted_on"] for event in due_events(bank)] == ["2026-11-20", "2026-12-07"]


def test_a_version_that_serves_again_is_told(bank: Living) -> None:
    bank.serve(2)
    bank.live(HORIZON_DAYS, share=0.01)
    bank.judge()
    assert (states(bank), due_events(bank)) == (["due"], [])
    bank.serve(1)
    for _ in range(2):
        bank.live(1, share=0.01)
        bank.judge()
    assert [event["version"] for event in due_events(bank)] == [1]


def test_a_version_that_serves_again_long_after_its_last_day_is_told_once(bank: Living) -> None:
    bank.serve(2)
    bank.live(HORIZON_DAYS, share=0.01)
    bank.judge()
    bank.live(LATE_DAYS + 1, share=0.01)
    bank.judge()
    assert (len(bank.predictions()), due_events(bank)) == (0, [])
    bank.serve(1)
    for _ in range(3):
        bank.live(1, share=0.01)
        bank.judge()
    assert shown_by_the_gauge(bank) == ["due"]
    assert [(event["version"], event["predicted_on"]) for event in due_events(bank)] == [(1, "2026-11-20")]


def test_a_version_that_serves_again_and_held_last_is_not_told(bank: Living) -> None:
    """An earlier day was due and told to nobody: a later one decides."""
    bank.serve(2)
    bank.live(HORIZON_DAYS, share=0.01)
    bank.judge()
    first = bank.days()[0]
    held = {"day": first.day + 7, "as_of_us": first.as_of_us + 7 * DAY_US, "state": "holds", "forgotten_us": 1}
    copies_of_the_day(bank, [held])
    bank.serve(1)
    bank.wait(LATE_DAYS + 1)
    bank.judge()
    assert (shown_by_the_gauge(bank), due_events(bank)) == (["holds"], [])


@pytest.mark.postgresql
def test_two_workers_that_judge_two_days_at_once_tell_it_once(bank: Living) -> None:
    """The transactions of both horizons came late, and both days are due."""
    if bank.engine.dialect.name == "sqlite":
        pytest.skip("one transaction at a time writes")
    bank.wait(7)
    bank.keep()
    bank.live(HORIZON_DAYS, share=0.01)
    until_us = bank.now + LEASE_US
    judged = []
    for _ in range(2):
        with writing(bank.engine) as session:
            day = store.claim_day(session, bank.now, until_us)
            assert day is not None
            session.flush()
            session.expunge(day)
        with reading(bank.engine) as session:
            predictions = store.predictions_of(session, day.id)
        judgement = judge._judge(bank.engine, bank.registry, day, predictions, bank.now)
        assert judgement is not None
        judged.append((day.id, judgement))

    def tell(number: int) -> None:
        day_id, judgement = judged[number]
        with writing(bank.engine) as session:
            row = store.leased_day(session, day_id, until_us)
            assert row is not None
            judge._store(session, row, judgement, bank.now)

    second = Thread(target=tell, args=(1,))
    (day_id, judgement), _ = judged
    with writing(bank.engine) as session:
        row = store.leased_day(session, day_id, until_us)
        assert row is not None
        judge._store(session, row, judgement, bank.now)
        session.flush()
        second.start()
        second.join(1)  # it looks before this transaction ends, or waits for it
    second.join(30)
    assert states(bank) == ["due", "due"]
    assert len(due_events(bank)) == 1


def test_what_a_clock_ahead_said_of_a_day_is_taken_back(bank: Living) -> None:
    ahead = bank.now + 3_000 * DAY_US
    figures = {"judged_us": ahead, "state": "holds", "reasons": ["early"], "figures": None}
    copies_of_the_day(bank, [{"day": 1, "horizon_ends_us": ahead, "as_of_us": bank.now + 1, **figures}])
    assert shown_by_the_gauge(bank) == ["holds"]
    bank.live(HORIZON_DAYS, share=0.01)
    bank.judge()
    early = next(day for day in bank.days() if day.day == 1)
    assert (early.judged_us, early.state, early.reasons) == (None, None, None)
    assert shown_by_the_gauge(bank) == ["due"]
    assert len(due_events(bank)) == 1


def test_the_latest_day_that_could_be_compared_decides(bank: Living) -> None:
    bank.live(10, share=0.01)
    bank.keep()
    bank.live(HORIZON_DAYS - 10, share=0.01)
    bank.judge()
    bank.wait(10)  # the feed stops
    bank.judge()
    assert states(bank) == ["due", "unknown"]
    (verdict,) = verdicts_on(bank.context, 1)
    assert (verdict.line.state, verdict.line.day) == ("due", "2026-11-20")
    assert verdict.unknown_from_us == bank.days()[1].day * DAY_US
    assert shown_by_the_gauge(bank) == ["due"]


def test_where_no_day_could_be_compared_the_latest_says_why(bank: Living) -> None:
    bank.wait(7)
    bank.keep()
    bank.wait(HORIZON_DAYS)
    bank.judge()
    (verdict,) = verdicts_on(bank.context, 1)
    assert (verdict.line.state, verdict.line.day, verdict.unknown_from_us) == ("unknown", "2026-11-27", None)
    assert shown_by_the_gauge(bank) == ["unknown"]


def test_however_many_days_wait_the_one_that_was_judged_decides(bank: Living) -> None:
    bank.live(HORIZON_DAYS, share=0.01)
    bank.judge()
    day = bank.days()[0]
    waits = {"judged_us": None, "state": None, "reasons": None, "figures": None}
    copies_of_the_day(
        bank, [{"day": day.day + n, "as_of_us": day.as_of_us + n * DAY_US, **waits} for n in range(1, 251)]
    )
    assert [each.line.state for each in verdicts_on(bank.context, 1)] == ["due"]


def test_the_same_number_of_another_model_is_another_version(bank: Living) -> None:
    said = {"state": "due", "judged_us": 1, "reasons": ["of another"]}
    copies_of_the_day(bank, [{"model": "other", "as_of_us": bank.now + 1, **said}])
    assert [line.model for line in list_realised(bank.context, bank.registry, 1)] == ["fivefold-value"]
    assert verdicts_on(bank.context, 1) == ()
    assert shown_by_the_gauge(bank) == []


def test_the_same_number_of_a_registry_made_anew_is_another_version(bank: Living) -> None:
    bank.live(HORIZON_DAYS, share=0.01)
    bank.judge()
    assert (shown_by_the_gauge(bank), len(due_events(bank))) == (["due"], 1)
    make_anew(bank)
    assert [bank.keep(), bank.keep()] == [True, False]
    assert (shown_by_the_gauge(bank), verdicts_on(bank.context, 1)) == ([], ())
    bank.live(HORIZON_DAYS, share=0.001)
    bank.judge()
    assert shown_by_the_gauge(bank) == ["due"]
    assert len(due_events(bank)) == 2


def test_a_registry_made_anew_on_the_day_of_a_prediction_predicts_the_next_day(bank: Living) -> None:
    make_anew(bank)
    assert not bank.keep()
    bank.wait(1)
    assert [bank.keep(), bank.keep()] == [True, False]


def test_events_of_two_models_have_two_names(bank: Living) -> None:
    copies_of_the_day(bank, [{"model": "m" * 200}])
    bank.live(HORIZON_DAYS, share=0.01)
    days = bank.days()
    with Session(bank.engine) as session, session.begin():
        for day in days:
            day.reasons = []
            judge._announce(session, day, bank.now)
    with Session(bank.engine) as session:
        names = session.scalars(select(OutboxEvent.event_id).where(OutboxEvent.kind == "value_model.due")).all()
    assert len(set(names)) == 2
    assert max(map(len, names)) <= 80


def away(*_: object, **__: object) -> None:
    raise MlflowException("away", TEMPORARILY_UNAVAILABLE)


def test_a_store_of_files_that_is_away_changes_no_verdict(bank: Living, monkeypatch: pytest.MonkeyPatch) -> None:
    bank.live(HORIZON_DAYS, share=0.01)
    bank.judge()

    def load(_: object, number: int) -> ValueModel:
        registry: Any = SimpleNamespace(use=lambda: None, settings=SimpleNamespace(embedded=False, tracking_shown="x"))
        return Registry._load(registry, f"models:/m/{number}")

    bank.live(1, share=0.01)
    with monkeypatch.context() as patch:
        patch.setattr(Shelf, "load", load)
        patch.setattr(mlflow.artifacts, "download_artifacts", away)
        assert bank.judge() == 1
        assert (states(bank), shown_by_the_gauge(bank)) == (["due"], ["due"])
    bank.now += LEASE_US
    assert bank.judge() == 1
    assert len(due_events(bank)) == 1


def test_a_registry_that_is_away_is_no_error_of_the_worker(bank: Living, monkeypatch: pytest.MonkeyPatch) -> None:
    def unanswered(*_: object) -> None:
        raise RegistryError("away")

    bank.live(HORIZON_DAYS)
    with monkeypatch.context() as patch:
        patch.setattr(Shelf, "version", unanswered)
        assert [judge_next(bank.engine, SETTINGS, bank.now) for _ in range(2)] == [True, False]
        assert states(bank) == [None]
    bank.now += LEASE_US
    assert bank.judge() == 1


def test_a_version_whose_run_is_gone_is_not_known(bank: Living, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: str) -> None:
        raise ModelNotFoundError("Run with id=run not found")

    monkeypatch.setattr(Shelf, "client", property(lambda _: SimpleNamespace(get_run=gone)))
    bank.live(HORIZON_DAYS)
    bank.judge()
    assert bank.days()[0].reasons == ["the run of version 1 is gone, and its settings with it"]


def test_a_worker_without_a_registry_judges_nothing(bank: Living, tmp_path: Path) -> None:
    bank.live(HORIZON_DAYS)
    assert not judge_next(bank.engine, Settings(tmp_path), bank.now)
    assert bank.days()[0].lease_until_us is None
    assert bank.judge() == 1


def test_a_version_that_is_removed_later_takes_no_figures_along(bank: Living) -> None:
    bank.live(HORIZON_DAYS, share=0.01)
    bank.judge()
    before = bank.days()[0]
    bank.shelf.models.pop(1)
    bank.wait(LATE_DAYS)
    bank.judge()
    after = bank.days()[0]
    assert (after.state, after.reasons, after.figures) == (before.state, before.reasons, before.figures)
    assert (after.forgotten_us, len(bank.predictions())) == (bank.now, 0)


def test_predictions_of_whom_a_legal_hold_is_on_stay_as_long_as_it_is(bank: Living) -> None:
    bank.wait(1)
    bank.serve(2)
    bank.keep()  # a later day, by which those of the first go
    held = update(Entity).where(Entity.id == bank.id_of("c1"))
    with Session(bank.engine) as session, session.begin():
        session.execute(held.values(hold_until_us=bank.now + 1_000 * DAY_US, hold_reason="court"))
    bank.live(HORIZON_DAYS)
    bank.judge()
    bank.live(LATE_DAYS - 1)
    bank.judge()
    first = bank.days()[0]
    assert (first.forgotten_us, set(bank.predictions(0))) == (bank.now, {bank.id_of("c1")})
    with Session(bank.engine) as session, session.begin():
        session.execute(held.values(hold_until_us=None, hold_reason=None))
    bank.live(1)
    bank.judge()
    assert [len(bank.predictions(number)) for number in (0, 1)] == [0, 0]


def test_predictions_of_the_last_day_go_with_the_hold_where_no_version_predicts_any_more(bank: Living) -> None:
    held = update(Entity).where(Entity.id == bank.id_of("c1"))
    with Session(bank.engine) as session, session.begin():
        session.execute(held.values(hold_until_us=bank.now + 1_000 * DAY_US, hold_reason="court"))
    bank.live(HORIZON_DAYS)
    bank.judge()
    bank.live(LATE_DAYS)
    bank.judge()
    bank.judge()
    assert set(bank.predictions()) == {bank.id_of("c1")}
    with Session(bank.engine) as session, session.begin():
        session.execute(held.values(hold_until_us=None, hold_reason=None))
    bank.judge()
    (day,) = bank.days()
    assert (len(bank.predictions()), day.figures is None) == (0, False)
