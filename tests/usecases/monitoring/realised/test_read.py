"""What is shown of predictions and of what came: by day, by type, and of no other organisation."""

import pytest
from sqlalchemy import Engine

from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import Part
from fivefold.usecases.models.read import no_registry
from fivefold.usecases.monitoring.realised import judge
from fivefold.usecases.monitoring.realised.read import RealisedVerdict, list_realised, verdicts_on
from tests.usecases.monitoring.realised.living import CUSTOMERS, HORIZON_DAYS, Living, Shelf


@pytest.fixture
def bank(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Living:
    """Of version 1 one day is judged, and one waits."""
    shelf = Shelf()
    monkeypatch.setattr(judge, "_open", lambda *_: shelf)
    made = Living(engine, shelf)
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
