"""What is shown of predictions and of what came: by day, by type, and of no other organisation."""

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import Part
from fivefold.store.tables.predictions import PredictionDay
from fivefold.usecases.models.read import no_registry
from fivefold.usecases.monitoring.realised.read import RealisedVerdict, list_realised, verdict_of_all, verdicts_on
from tests.usecases.monitoring.realised.living import CUSTOMERS, HORIZON_DAYS, MODEL, Living, Shelf, model


@pytest.fixture
def bank(without_predictions: Living) -> Living:
    """Of version 1 one day is judged, and one waits."""
    made = without_predictions
    made.keep()
    made.live(20, share=0.01)
    made.keep()
    made.live(HORIZON_DAYS - 20, share=0.01)
    made.judge()
    return made


def test_days_are_listed_the_latest_first_and_the_latest_judged_is_the_verdict(bank: Living) -> None:
    waits, judged = list_realised(bank.context, bank.registry, 1)
    assert (waits.state, waits.figures, waits.judged_us, waits.predicted) == ("waiting", None, None, CUSTOMERS)
    assert (judged.state, judged.day, judged.entity_type) == ("due", "2026-11-20", "customer")
    assert judged.figures is not None
    assert [each.group for each in judged.figures.by("all")] == ["all"]
    assert [each.group for each in judged.figures.by("decile")] == [str(number) for number in range(1, 11)]
    assert verdicts_on(bank.context, 1) == (RealisedVerdict(line=judged, unknown_from_us=None),)
    first = list_realised(bank.context, bank.registry, 1, Part(1))
    assert list(first) == [waits]
    assert list(list_realised(bank.context, bank.registry, 1, Part(1, first.next))) == [judged]


def test_of_another_version_and_to_another_organisation_there_is_nothing(bank: Living) -> None:
    assert not list_realised(bank.context, bank.registry, 2)
    other = Living(bank.engine, bank.shelf, "other", customers=0)
    assert not list_realised(other.context, bank.registry, 1)
    assert verdicts_on(other.context, 1) == ()


def test_a_version_of_which_nothing_is_known_is_not_found_and_one_that_the_registry_lost_keeps_its_days(
    bank: Living,
) -> None:
    with pytest.raises(NotFoundError, match="fivefold-value has no version 3"):
        list_realised(bank.context, bank.registry, 3)
    with pytest.raises(NotFoundError, match="no model was trained yet"):
        list_realised(bank.context, no_registry, 2)
    bank.shelf.models.clear()
    assert len(list_realised(bank.context, bank.registry, 1)) == 2


def test_a_version_is_due_where_it_is_due_for_one_organisation_and_holds_where_nobody_says_otherwise(
    bank: Living, engine: Engine
) -> None:
    due = verdict_of_all(engine, MODEL, {1: model().content_hash})
    assert due.state == "due"
    assert [reason.partition(": ")[0] for reason in due.reasons] == ["bank, customer"] * len(due.reasons)
    other = Living(engine, bank.shelf, "other")
    other.keep()
    other.live(HORIZON_DAYS)
    other.judge()
    for one, two, state, whose in (
        ("due", "holds", "due", {"bank, customer"}),
        ("unknown", "holds", "holds", {"other, customer"}),
        ("holds", "holds", "holds", {"bank, customer", "other, customer"}),
        ("unknown", "unknown", "unknown", {"bank, customer", "other, customer"}),
    ):
        with Session(engine) as session, session.begin():
            for each, said in ((bank, one), (other, two)):
                judged = (PredictionDay.organisation_id == each.of, PredictionDay.judged_us.is_not(None))
                session.execute(update(PredictionDay).where(*judged).values(state=said))
        verdict = verdict_of_all(engine, MODEL, {1: model().content_hash})
        assert (verdict.state, {reason.partition(": ")[0] for reason in verdict.reasons}) == (state, whose)


def test_of_several_versions_the_highest_with_judged_days_counts(bank: Living, engine: Engine) -> None:
    hashes = {1: model().content_hash}
    for others in ({2: "recalibrated"}, {2: "recalibrated", 3: "again"}):
        verdict = verdict_of_all(engine, MODEL, others | hashes)
        assert verdict.state == verdict_of_all(engine, MODEL, hashes).state == "due"
        assert all(reason.startswith("bank, customer, version 1: ") for reason in verdict.reasons)
    with Session(engine) as session, session.begin():
        waiting = PredictionDay.judged_us.is_(None)
        values = {"model_version": 2, "model_hash": "recalibrated"}
        session.execute(update(PredictionDay).where(waiting).values(values))
    assert verdict_of_all(engine, MODEL, {2: "recalibrated"}).state == "waiting"
    assert verdict_of_all(engine, MODEL, {2: "recalibrated"} | hashes).state == "due"


def test_a_version_without_judged_days_waits_and_one_without_any_is_not_known(engine: Engine) -> None:
    new = Living(engine, Shelf())
    new.keep()
    assert verdict_of_all(engine, MODEL, {1: model().content_hash}).state == "waiting"
    nothing = verdict_of_all(engine, MODEL, {2: model().content_hash})
    assert (nothing.state, "kept no predictions by this version 2 of fivefold-value" in str(nothing)) == (
        "unknown",
        True,
    )
    assert verdict_of_all(engine, "another", {1: model().content_hash}).state == "unknown"
    assert verdict_of_all(engine, MODEL, {1: "of another registry"}).state == "unknown"
