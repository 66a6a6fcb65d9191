"""Tags and screenings are counted as other facts are: a customer's story, with a date missing here and there."""

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from pydantic import TypeAdapter

from fivefold.domain.clock import DAY_US, to_microseconds
from fivefold.domain.errors import FileFormatError
from fivefold.features.reading.columns import ALLOWED_TIME
from fivefold.risk.facts.aggregates import aggregate
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, NOT_READ, error_of, signal_of
from fivefold.risk.facts.records import prepare_screenings, prepare_tags
from fivefold.risk.language.expressions import Condition, Input, Window, input_key

FORMS: TypeAdapter[Window] = TypeAdapter(Input)
assert Condition is not None  # the forms know what a condition is once its module is imported
NOW = to_microseconds(datetime(2024, 6, 30, tzinfo=UTC))

TAGS = pl.DataFrame(
    {
        ENTITY: ["a", "a", "a", "a"],
        "tag": ["watch", "watch", "vip", "watch"],
        "from": ["2024-06-20", "2024-01-01", None, "2024-07-01"],
        "until": [None, "2024-06-30", None, None],
    }
)
SCREENINGS = pl.DataFrame(
    {
        ENTITY: ["a", "a", "a", "b"],
        "screening": ["pep", "pep", "sanctions", "pep"],
        "found": [True, None, False, None],
        "at": ["2024-01-01", "2024-06-01", None, "2024-06-01"],
    }
)
PEP = {"field": "screening", "equals": "pep"}
FOUND = {"field": "found", "equals": True}


def counted(made: dict[str, Any], entity: str = "a", **frames: pl.DataFrame) -> tuple[Any, Any]:
    """Give the value of an aggregate, and the latest moment."""
    form = FORMS.validate_python(made)
    given = {"tags": TAGS, "screenings": SCREENINGS, **frames}
    sources = {"tags": prepare_tags(given["tags"]), "screenings": prepare_screenings(given["screenings"])}
    asked = pl.DataFrame({ENTITY: [entity], AS_OF: [NOW]})
    found, key = aggregate(asked, sources, [form], {}, [input_key(form)]), input_key(form)
    if error_of(key) in found.columns:
        return found[error_of(key)].item(), None
    return found[key].item(), found[signal_of(key)].item()


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ({"count": "tags"}, 2),  # one has ended today, one is still to come
        ({"count": "tags", "where": {"field": "tag", "equals": "watch"}}, 1),
        ({"count": "tags", "over": "30 days"}, 1),  # the other one was there from the start
        ({"days_since": "tags"}, 10),
        ({"days_since": "tags", "where": {"field": "tag", "equals": "vip"}}, None),
        ({"count": "screenings"}, 2),  # one of the three had no result
        ({"count": "screenings", "where": PEP, "over": "30 days"}, 0),
        ({"days_since": "screenings"}, 181),
        ({"days_since": "screenings", "where": {"field": "screening", "equals": "sanctions"}}, None),
        ({"days_since": "screenings", "where": {"all": [PEP, {"field": "found", "is": "absent"}]}}, 29),
        ({"count": "screenings", "where": {"all": [PEP, FOUND]}}, 1),
        ({"count": "screenings", "where": {"all": [PEP, {"field": "found", "is": "present"}]}}, 1),
    ],
)
def test_what_is_there_and_since_when(made: dict[str, Any], expected: float | None) -> None:
    assert counted(made)[0] == expected


@pytest.mark.parametrize(
    ("kind", "expected"), [("sanctions", 0), ("pep", 1), ("adverse-media", None)], ids=["clean", "found", "never"]
)
def test_who_was_never_screened_for_it_is_not_taken_for_clean(kind: str, expected: float | None) -> None:
    asked = {"count": "screenings", "where": {"all": [{"field": "screening", "equals": kind}, FOUND]}}
    assert counted(asked)[0] == expected
    assert counted(asked, "b")[0] is None  # who was screened without a result was not either
    assert counted({**asked, "over": "30 days"})[0] == (None if expected is None else 0)


def test_the_latest_counts_for_decay_and_one_without_a_moment_for_none() -> None:
    assert counted({"count": "tags"})[1] == NOW - 10 * DAY_US
    assert counted({"count": "screenings", "where": {"field": "screening", "equals": "sanctions"}}) == (1, None)


@pytest.mark.parametrize("column", ["from", "until"])
def test_a_tag_whose_moment_cannot_be_read_fails_its_entity(column: str) -> None:
    tags = TAGS.with_columns(pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("soon")).otherwise(column).alias(column))
    assert counted({"count": "tags"}, tags=tags)[0] == f"{column} is soon; allowed: {ALLOWED_TIME}"
    assert counted({"count": "tags"}, "b", tags=tags)[0] == 0


def test_a_result_that_cannot_be_read_fails_its_entity() -> None:
    screenings = SCREENINGS.with_columns(found=pl.lit("maybe"))
    assert "maybe" in counted({"days_since": "screenings"}, screenings=screenings)[0]


MONTH = {"over": "30 days"}
WATCH, VIP = ({"where": {"field": "tag", "equals": tag}} for tag in ("watch", "vip"))


@pytest.mark.parametrize(
    ("bad", "made", "expected"),
    [
        ({"from": "soon"}, WATCH, 1),
        ({"until": "later"}, WATCH, 1),
        ({"from": "soon"}, VIP, None),
        ({"until": "later"}, VIP, None),
        ({"from": "soon"}, MONTH, None),
        ({"from": "soon"}, WATCH | MONTH, 1),
        ({"from": "soon", "until": "2023-06-01"}, {}, 1),  # it ended
        ({"from": "soon", "until": "2023-06-01"}, MONTH, 1),
        ({"from": "soon", "until": "2024-07-01"}, MONTH, None),
        ({"from": "2024-07-01", "until": "later"}, {}, 1),  # it is still to come
        ({"from": "2024-01-01", "until": "later"}, {}, None),
        ({"from": "2024-01-01", "until": "later"}, MONTH, 1),  # it is older
        ({"from": None, "until": "later"}, MONTH, 1),
    ],
)
def test_a_tag_that_cannot_be_read_fails_what_it_may_count_for(
    bad: dict[str, Any], made: dict[str, Any], expected: int | None
) -> None:
    watch = {ENTITY: "a", "tag": "watch", "from": "2024-06-20", "until": None}
    tags = pl.DataFrame([watch, {**watch, "tag": "vip", **bad}], schema=dict.fromkeys(watch, pl.String))
    found, _ = counted({"count": "tags", **made}, tags=tags)
    assert isinstance(found, str) if expected is None else found == expected


@pytest.mark.parametrize(
    ("bad", "where", "expected"),
    [
        ({"found": "maybe"}, PEP, 1),
        ({"at": "soon"}, PEP, 1),
        ({"found": "maybe"}, {"field": "screening", "equals": "sanctions"}, None),
        ({"at": "soon"}, {"field": "screening", "equals": "sanctions"}, None),
        ({"at": "soon", "found": None}, {"field": "screening", "is": "present"}, 1),  # it has no result
        ({"at": "soon", "found": "false"}, FOUND, 1),
        ({"found": "maybe"}, FOUND, None),
        ({"found": "maybe"}, {"all": [PEP, FOUND]}, 1),
        ({"found": "maybe"}, {"field": "found", "is": "present"}, None),
    ],
)
def test_a_screening_that_cannot_be_read_fails_what_it_may_count_for(
    bad: dict[str, Any], where: dict[str, Any], expected: int | None
) -> None:
    pep = {ENTITY: "a", "screening": "pep", "found": "true", "at": "2024-06-01"}
    screenings = pl.DataFrame([pep, {**pep, "screening": "sanctions", **bad}])
    found, _ = counted({"count": "screenings", "where": where}, screenings=screenings)
    assert isinstance(found, str) if expected is None else found == expected


@pytest.mark.parametrize("made", [{}, MONTH, VIP | MONTH], ids=str)
def test_a_line_that_was_not_read_may_be_any_tag_at_any_time(made: dict[str, Any]) -> None:
    torn = pl.DataFrame({ENTITY: ["a"], NOT_READ: ["line 7 has 2 values"]})
    tags = pl.concat([TAGS, torn], how="diagonal")
    assert counted({"count": "tags", **made}, tags=tags)[0] == "line 7 has 2 values"


@pytest.mark.parametrize("made", [{}, MONTH, {"where": PEP}, {"where": FOUND}], ids=str)
def test_a_line_that_was_not_read_may_be_any_screening_at_any_time(made: dict[str, Any]) -> None:
    torn = pl.DataFrame({ENTITY: ["a"], NOT_READ: ["line 7 has 2 values"]})
    screenings = pl.concat([SCREENINGS, torn], how="diagonal")
    assert counted({"count": "screenings", **made}, screenings=screenings)[0] == "line 7 has 2 values"


def test_screenings_without_results_are_refused() -> None:
    with pytest.raises(FileFormatError):
        prepare_screenings(SCREENINGS.drop("found"))
