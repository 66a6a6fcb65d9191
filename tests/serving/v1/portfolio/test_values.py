"""A customer's value over HTTP: with the points of each indicator, and nothing of the level beside it."""

import pytest

from fivefold.domain.breakdown import Breakdown, Contribution
from fivefold.serving.v1.portfolio import values
from fivefold.usecases.levels.value_scores import ValueView
from tests.serving.v1.places import Place


def test_a_value_is_shown_with_its_reasons(furnished: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    part = Contribution("deposit_sum_90d", "volume", 120.0, "EUR", 1.25, "Deposits: 120.00 EUR", seen="120.00 EUR")
    said = {"score": 4.25, "segment": "top", "expected_value": 31.5, "currency": "EUR", "as_of_us": 86_400_000_000}
    said |= {"expected_value_low": 20.0, "expected_value_high": 50.5, "interval_level_percent": 80}
    known = {"model": "fivefold-value", "model_version": 3, "superseded_by": 4, "horizon_days": 90, "unexplained": ""}
    value = ValueView(**said, **known, breakdown=Breakdown(3.0, (part,)), indicators=None)  # type: ignore[arg-type]  # of several types
    monkeypatch.setattr(values.values, "read_value_alone", lambda *_, **__: value)
    shown = furnished.good("GET", "/v1/entities/company/acme/value", role="commercial")
    del said["as_of_us"]
    assert shown == {
        "type": "company",
        "external_id": "acme",
        **said,
        **known,
        "as_of": "1970-01-02T00:00:00Z",
        "breakdown": {
            "base": 3.0,
            "contributions": [
                {
                    "name": "deposit_sum_90d",
                    "family": "volume",
                    "value": 120.0,
                    "unit": "EUR",
                    "points": 1.25,
                    "sentence": "Deposits: 120.00 EUR",
                }
            ],
        },
    }


def test_who_never_had_a_value_is_answered_with_nothing(furnished: Place) -> None:
    answer = furnished.ask("GET", "/v1/entities/company/acme/value", role="commercial")
    assert (answer.status_code, answer.content) == (204, b"")
