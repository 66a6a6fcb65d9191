"""Moments and texts, as they are sent and told."""

from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from fivefold.domain.clock import from_microseconds, to_microseconds
from fivefold.serving.v1.schemas import BigNumber, DayGiven, MomentGiven, Number, RequestModel, ResponseModel, Text
from fivefold.usecases.shared.api_fields import Moment
from tests.serving.v1.places import Place

GIVEN: TypeAdapter[int] = TypeAdapter(MomentGiven)
TOLD: TypeAdapter[int] = TypeAdapter(Moment)


@given(st.datetimes(datetime(1900, 1, 1), datetime(8999, 12, 31)))  # noqa: DTZ001 (all of them are in UTC)
def test_a_moment_that_is_told_can_be_sent_back(moment: Any) -> None:
    time_us = to_microseconds(moment)
    written = TOLD.dump_json(time_us)
    assert written.endswith(b'Z"')
    assert GIVEN.validate_json(written, strict=True) == time_us
    assert GIVEN.validate_strings(written.decode().strip('"')) == time_us


def test_a_bare_date_is_its_midnight() -> None:
    assert from_microseconds(GIVEN.validate_json('"2024-07-01"')).isoformat() == "2024-07-01T00:00:00+00:00"


@pytest.mark.parametrize(("finer", "later_us"), [("", 0), ("000", 0), ("0005", 1), ("500Z", 1)])
def test_what_is_finer_than_a_microsecond_goes_up_to_the_next_one(finer: str, later_us: int) -> None:
    """Half a microsecond after as-of is after it."""
    midnight = to_microseconds(date(2024, 7, 1))
    assert GIVEN.validate_json(f'"2024-07-01T00:00:00.000000{finer}"') == midnight + later_us


@pytest.mark.parametrize(
    "sent",
    [
        *("1719792000", '"tomorrow"', '""', "null", "true", '"9999-12-31T23:59:59-23:00"', '"0001-01-01T00:00+01:00"'),
        *('"0001-01-01"', '"1899-12-31T23:59:59Z"', '"1900-01-01T00:00+01:00"', '"9000-01-01"', '"9999-12-31"'),
    ],
)
def test_what_is_no_moment_is_refused(sent: str) -> None:
    with pytest.raises(ValidationError, match="ISO 8601"):
        GIVEN.validate_json(sent)


def test_a_whole_day_is_no_time_within_one() -> None:
    days: TypeAdapter[int] = TypeAdapter(DayGiven)
    midnight = to_microseconds(date(2024, 7, 1))
    for sent in ("2024-07-01", "2024-07-01T00:00:00Z", "2024-07-01T02:00+02:00"):
        assert days.validate_strings(sent) == midnight
    for sent in ("2024-07-01T14:26:20Z", "2024-07-01T00:00:00.0000001Z", "2024-07-01T00:00+02:00"):
        with pytest.raises(ValidationError, match="must be a whole day in UTC such as 2024-07-01, and is a time"):
            days.validate_strings(sent)


@pytest.mark.parametrize(
    "path", ["migration?type=customer&", "migration/movers?type=customer&", "entities/customer/one/transactions/days?"]
)
@pytest.mark.parametrize("name", ["since", "until"])
def test_routes_of_whole_days_refuse_a_time_within_one(furnished: Place, path: str, name: str) -> None:
    answer = furnished.ask("GET", f"/v1/{path}{name}=2026-11-29T14:26:20Z", role="investigator")
    ((error,),) = [each["errors"] for each in answer.json()]
    assert (answer.status_code, error["where"]) == (422, f"query.{name}")


def test_a_text_that_no_database_keeps_is_refused() -> None:
    with pytest.raises(ValidationError, match="NUL"):
        TypeAdapter(Text).validate_json('"a\\u0000b"')


@pytest.mark.parametrize("sent", ["0", "-1", "x", "9223372036854775808", "1.5", "1.0", "01", "+1", " 1", ""])
def test_what_is_no_number_of_anything_is_refused(sent: str) -> None:
    for kind, most in ((Number, 2**31 - 1), (BigNumber, 2**63 - 1)):
        reader: TypeAdapter[int] = TypeAdapter(kind)
        assert reader.validate_strings(str(most)) == most
        for wrong in (sent, str(most + 1)):
            with pytest.raises(ValidationError):
                reader.validate_strings(wrong)


class Asked(RequestModel):
    """Something sent."""

    count: int


@pytest.mark.parametrize("sent", ['{"count": "1"}', '{"count": 1.0}', '{"count": true}', '{"count": 1, "more": 2}'])
def test_forms_are_taken_exactly(sent: str) -> None:
    with pytest.raises(ValidationError):
        Asked.model_validate_json(sent)


def test_what_is_shown_is_cut_to_its_fields() -> None:
    class Seen(ResponseModel):
        """Something told."""

        name: str

    class Known:
        name, secret = "a", "b"

    assert Seen.of(Known()).model_dump() == {"name": "a"}
