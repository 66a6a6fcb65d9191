"""What customers were worth, beside what was predicted of them: once the horizon is over, and told once."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.store.erasure.erase import erase
from fivefold.store.monitoring import predictions as store
from fivefold.store.tables.audit import AuditEntry
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.events import OutboxEvent
from fivefold.store.tables.predictions import Prediction, PredictionDay
from fivefold.store.webhooks.outbox import NewEvent, add_events
from fivefold.training.config import ValueSettings
from fivefold.usecases.monitoring.realised import judge
from fivefold.usecases.monitoring.realised.judge import LATE_DAYS, LEASE_US, LONGEST_DAYS, judge_next
from fivefold.usecases.webhooks.endpoints import add_endpoint
from fivefold.usecases.webhooks.plan import DeliveryAttempt, claim_deliveries, plan_deliveries, record_attempts
from fivefold.usecases.webhooks.send import body_of
from tests.usecases.erasure.removals import keep as remember
from tests.usecases.erasure.removals import remove
from tests.usecases.monitoring.realised.living import CUSTOMERS, HORIZON_DAYS, SETTINGS, Living, model


def due_events(bank: Living) -> list[dict[str, object]]:
    with Session(bank.engine) as session:
        of = select(OutboxEvent).where(OutboxEvent.organisation_id == bank.of, OutboxEvent.kind == "value_model.due")
        return [json.loads(row.body or "null") for row in session.scalars(of.order_by(OutboxEvent.id))]


@pytest.mark.postgresql
def test_the_figures_are_those_of_the_definition_of_training(bank: Living) -> None:
    bank.live(HORIZON_DAYS)
    assert bank.judge() == 1
    (day,) = bank.days()
    assert day.figures is not None
    groups = {(row["by"], row["group"]): row for row in day.figures["groups"]}
    whole = groups["all", "all"]
    # By hand: nine deposits in the horizon, each of which is the balance of the ten days after it.
    value, amounts = ValueSettings(), 50.0 * np.arange(1, CUSTOMERS + 1)
    balance_days = amounts * HORIZON_DAYS
    worth = value.deposit_fee * 9 * amounts + value.yearly_margin / 365 * balance_days
    assert whole["realised_mean"] == pytest.approx(worth.mean(), rel=1e-9)
    kept = [row.expected_value for row in bank.predictions().values()]
    assert whole["predicted_mean"] == pytest.approx(np.mean(kept))
    assert whole["ratio"] == pytest.approx(worth.mean() / np.mean(kept))
    assert day.figures["customers"] == whole["customers"] == CUSTOMERS
    assert sum(row["customers"] for (by, _), row in groups.items() if by == "segment") == CUSTOMERS
    assert sum(row["customers"] for (by, _), row in groups.items() if by == "decile") == CUSTOMERS
    assert day.figures["gone"] == 0
    assert day.figures["spearman"] is not None
    assert day.judged_us == bank.now


def test_before_the_horizon_is_over_nothing_is_said(bank: Living) -> None:
    bank.live(HORIZON_DAYS)
    bank.now -= 1
    assert bank.judge() == 0
    assert bank.days()[0].state is None
    bank.now += 1
    assert bank.judge() == 1


def test_where_the_transactions_do_not_reach_so_far_nothing_is_known_until_they_do(bank: Living) -> None:
    bank.wait(HORIZON_DAYS)  # a feed that stopped, or a clock that is ahead
    assert bank.judge() == 1
    (day,) = bank.days()
    assert (day.state, day.figures) == ("unknown", None)
    assert "do not reach" in (day.reasons or [""])[0]
    bank.pay_in(10 - HORIZON_DAYS, 0)
    bank.wait(1)
    assert bank.judge() == 1
    assert bank.days()[0].figures is not None


def test_predictions_of_what_the_version_learnt_from_do_not_say_that_it_holds(bank: Living) -> None:
    bank.shelf.models[1] = replace(model(), test_as_of=bank.now + 1)
    with Session(bank.engine) as session, session.begin():
        session.execute(update(PredictionDay).values(model_hash=bank.shelf.models[1].content_hash))
    bank.live(HORIZON_DAYS)
    assert bank.judge() == 1
    (day,) = bank.days()
    assert (day.state, day.figures) == ("unknown", None)
    assert "it learnt from what came until then" in (day.reasons or [""])[0]


def test_a_clock_far_ahead_removes_no_prediction(bank: Living) -> None:
    bank.wait(HORIZON_DAYS + LATE_DAYS + 1)
    bank.judge()
    assert len(bank.predictions()) == CUSTOMERS


def test_once_a_day_and_late_transactions_take_the_place_of_the_figures(bank: Living) -> None:
    bank.live(HORIZON_DAYS)
    assert [bank.judge(), bank.judge()] == [1, 0]
    before = bank.days()[0].figures
    bank.pay_in(-45, -45)
    assert bank.judge() == 0
    bank.wait(1)
    assert bank.judge() == 1
    after = bank.days()[0].figures
    assert before is not None
    assert after is not None
    assert before["groups"][0]["predicted_mean"] == after["groups"][0]["predicted_mean"]
    assert before["groups"][0]["realised_mean"] < after["groups"][0]["realised_mean"]


def test_predictions_are_removed_once_late_transactions_are_in_and_the_figures_stay(bank: Living) -> None:
    bank.live(HORIZON_DAYS)
    bank.judge()
    bank.live(LATE_DAYS)
    assert bank.judge() == 1
    (day,) = bank.days()
    assert (len(bank.predictions()), day.forgotten_us) == (0, bank.now)
    assert day.figures is not None
    bank.wait(1)
    assert bank.judge() == 0


def test_they_are_removed_in_the_end_though_nothing_could_be_compared(bank: Living) -> None:
    bank.shelf.models.clear()
    bank.wait(HORIZON_DAYS + LONGEST_DAYS)
    assert bank.judge() == 1
    assert len(bank.predictions()) == CUSTOMERS  # a clock may be ahead for once
    bank.wait(1)
    assert bank.judge() == 1
    assert len(bank.predictions()) == 0
    assert bank.days()[0].state == "unknown"


def test_a_version_that_turns_out_to_be_due_is_told_once(bank: Living) -> None:
    bank.live(HORIZON_DAYS, share=0.01)
    bank.judge()
    (day,) = bank.days()
    assert day.state == "due"
    assert any("realised money is" in reason for reason in day.reasons or [])
    (event,) = due_events(bank)
    assert (event["version"], event["entity_type"], event["reasons"]) == (1, "customer", day.reasons)
    with Session(bank.engine) as session:
        (entry,) = session.scalars(select(AuditEntry).where(AuditEntry.action == "value_model.due"))
        assert (entry.actor, entry.subject_id, entry.organisation_id) == ("system", "1", bank.of)
    bank.wait(1)
    bank.judge()
    bank.wait(7)
    bank.judge()
    assert len(due_events(bank)) == 1


def test_the_event_is_about_nobody_is_sent_and_goes_once_it_is_old(bank: Living) -> None:
    endpoint = add_endpoint(bank.context, "https://93.184.215.14/hook", kinds=["value_model.due"])
    bank.live(HORIZON_DAYS, share=0.01)
    bank.judge()
    plan_deliveries(bank.engine, bank.now)
    batch = claim_deliveries(bank.engine, endpoint.endpoint_id, lambda: bank.now, 10)
    assert batch is not None
    (claim,) = batch.claims
    said = json.loads(body_of(claim))
    assert (said["kind"], said["entity"], said["erased"]) == ("value_model.due", None, False)
    assert said["data"]["reasons"] == bank.days()[0].reasons
    assert said["data"]["predicted_on"] == "2026-11-20"
    record_attempts(bank.engine, [DeliveryAttempt(claim, None)], bank.now)
    remember(bank, outbox_days=400, deliveries_days=100)
    bank.wait(401)
    with Session(bank.engine) as session, session.begin():  # the last event of all stays, however old
        add_events(session, bank.of, [NewEvent("later", "level.reached", bank.id_of("c0"), bank.now, "{}")])
    plan_deliveries(bank.engine, bank.now)
    assert remove(bank).get("deliveries") == 1
    bank.wait(40)
    remove(bank)
    assert due_events(bank) == []


def test_the_next_day_of_a_version_that_is_due_already_is_no_news(bank: Living) -> None:
    bank.live(10, share=0.01)
    bank.keep()
    bank.live(HORIZON_DAYS, share=0.01)
    bank.judge()
    assert [day.state for day in bank.days()] == ["due", "due"]
    assert len(due_events(bank)) == 1


def test_two_versions_are_judged_each_by_its_own_and_only_the_one_that_serves_is_told(bank: Living) -> None:
    bank.serve(2)
    bank.keep()
    bank.live(HORIZON_DAYS, share=0.01)
    assert bank.judge() == 2
    assert [(day.model_version, day.state) for day in bank.days()] == [(1, "due"), (2, "due")]
    assert [event["version"] for event in due_events(bank)] == [2]


def test_of_a_version_that_the_registry_does_not_have_nothing_is_known(bank: Living) -> None:
    bank.shelf.models.pop(1)
    bank.live(HORIZON_DAYS)
    bank.judge()
    (day,) = bank.days()
    assert (day.state, day.figures) == ("unknown", None)
    assert "has no version 1" in (day.reasons or [""])[0]
    assert due_events(bank) == []


def test_another_model_under_the_same_number_is_not_the_one_that_predicted(bank: Living) -> None:
    with Session(bank.engine) as session, session.begin():
        session.execute(update(PredictionDay).values(model_hash="0" * 64))
    bank.live(HORIZON_DAYS)
    bank.judge()
    assert "another model" in (bank.days()[0].reasons or [""])[0]


def test_who_was_erased_is_in_no_figure_and_counted(bank: Living) -> None:
    with Session(bank.engine) as session, session.begin():
        for name in ("c1", "c39"):
            erase(session, [session.get_one(Entity, bank.id_of(name))], bank.now)
        bank.customers = [name for name in bank.customers if name not in {"c1", "c39"}]
    bank.live(HORIZON_DAYS)
    bank.judge()
    figures = bank.days()[0].figures
    assert figures is not None
    assert (figures["customers"], figures["gone"]) == (CUSTOMERS - 2, 2)


def test_of_whom_a_balance_is_missing_it_is_not_known_what_they_were_worth(bank: Living) -> None:
    bank.wait(5)
    bank.pay(900_000, "c39")
    bank.wait(-5)
    bank.live(HORIZON_DAYS)
    bank.judge()
    figures = bank.days()[0].figures
    assert figures is not None
    assert (figures["customers"], figures["gone"]) == (CUSTOMERS - 1, 1)


def test_of_few_customers_nothing_is_said(bank: Living) -> None:
    bank.shelf.parameters = {}
    bank.live(HORIZON_DAYS, share=0.01)
    bank.judge()
    (day,) = bank.days()
    assert (day.state, due_events(bank)) == ("unknown", [])
    assert "500" in (day.reasons or [""])[0]


def test_organisations_are_judged_each_by_its_own(bank: Living) -> None:
    other = Living(bank.engine, bank.shelf, "other")
    other.keep()
    bank.live(HORIZON_DAYS, share=0.01)
    other.live(HORIZON_DAYS)
    assert bank.judge() == 2
    assert (len(due_events(bank)), bank.days()[0].state) == (1, "due")
    realised = [each.days()[0].figures["groups"][0]["realised_mean"] for each in (bank, other)]  # type: ignore[index]  # both were judged
    assert realised[0] < realised[1] / 2


@pytest.mark.postgresql
def test_a_worker_that_is_killed_holds_a_day_for_ten_minutes(bank: Living, monkeypatch: pytest.MonkeyPatch) -> None:
    bank.live(HORIZON_DAYS)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(judge, "_judge", killed)
        with pytest.raises(KeyboardInterrupt):
            bank.judge()
    assert bank.judge() == 0
    bank.now += LEASE_US
    assert bank.judge() == 1


@pytest.mark.postgresql
def test_who_comes_back_after_the_lease_stores_nothing(bank: Living, monkeypatch: pytest.MonkeyPatch) -> None:
    bank.live(HORIZON_DAYS)
    judged = judge._judge

    def slowly(*of: object) -> object:
        monkeypatch.setattr(judge, "_judge", judged)
        bank.now += LEASE_US
        assert bank.judge() == 1
        return judge._unknown("too late")

    monkeypatch.setattr(judge, "_judge", slowly)
    assert judge_next(bank.engine, SETTINGS, bank.now)
    assert bank.days()[0].figures is not None


def test_a_model_without_intervals_has_no_coverage(bank: Living) -> None:
    with Session(bank.engine) as session, session.begin():
        session.execute(update(PredictionDay).values(interval_level_percent=None))
        session.execute(update(Prediction).values(expected_value_low=None, expected_value_high=None))
    bank.live(HORIZON_DAYS)
    bank.judge()
    figures = bank.days()[0].figures
    assert figures is not None
    assert {row["covered_share"] for row in figures["groups"]} == {None}


def test_the_verdict_of_the_latest_judged_day_counts(bank: Living) -> None:
    bank.live(HORIZON_DAYS, share=0.01)
    bank.judge()
    with Session(bank.engine) as session:
        assert [(each.organisation_id, each.entity_type, each.state) for each in store.verdicts_now(session)] == [
            (bank.of, "customer", "due")
        ]
    assert model().horizon_days * DAY_US == HORIZON_DAYS * DAY_US
    bank.serve(2)
    with Session(bank.engine) as session:
        assert store.verdicts_now(session) == []
