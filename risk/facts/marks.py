"""Tags and screenings as linked facts, which aggregates count as they count transactions: in one form."""

from collections.abc import Sequence

import polars as pl

from fivefold.features.reading.columns import ALLOWED_TIME
from fivefold.risk.facts.linked import FROM_THE_START, LINKED_ENTITY, TIME, UNREADABLE, LinkedFacts
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, NOT_READ
from fivefold.risk.facts.reading import read_declared, read_text, read_time, refuse_link, refuse_missing
from fivefold.risk.facts.row_errors import Check, find_problems, with_problems
from fivefold.risk.facts.windows import NOT_FOUND_YET
from fivefold.risk.language.fields import SCREENING_FIELDS, TAG_FIELDS

_UNTIL = "until"
_HAS_RESULT = "@has_result"
"""A column of screenings: null where the result cannot be read."""


def prepare_tags(frame: pl.DataFrame) -> LinkedFacts:
    """Read tags: facts from when they were given until they end, which is not included.

    Args:
        frame: `entity_id`, `tag`, and perhaps `from` (no moment: from the start) and `until`.

    Raises:
        FileFormatError: a column that all have is missing, or `entity_id` is not an identifier.
    """
    schema = frame.schema
    rows, checks = _read(frame, "tags", "tag", "from")
    until = read_time(_UNTIL, schema[_UNTIL]) if _UNTIL in schema else None
    if until is not None and until.wrong is not None:
        checks = [*checks, _whole(_UNTIL, until.wrong, ALLOWED_TIME)]
    columns = {
        "tag": read_text("tag", schema["tag"]).value,
        _UNTIL: pl.lit(None, pl.Int64) if until is None else until.value,
    }
    return LinkedFacts(
        with_problems(rows, checks).select(LINKED_ENTITY, TIME, UNREADABLE, **columns),
        TAG_FIELDS,
        lambda: find_problems(rows, checks, columns),
        usual=pl.col(_UNTIL).is_null() | (pl.col(_UNTIL) > pl.col(AS_OF)),
        moves=(TIME, _UNTIL),
    )


def prepare_screenings(frame: pl.DataFrame) -> LinkedFacts:
    """Read screenings; one without a result counts only where `where` asks whether there was one.

    Args:
        frame: `entity_id`, `screening`, `found`, and perhaps `at` (no moment: before all others).

    Raises:
        FileFormatError: a column that all have is missing, or `entity_id` is not an identifier.
    """
    schema = frame.schema
    refuse_missing("screenings", schema, ("found",), {}, frozenset())
    rows, checks = _read(frame, "screenings", "screening", "at")
    result = read_declared("found", schema["found"], "flag")
    if result.wrong is not None:
        checks = [*checks, _whole("found", result.wrong, "true or false")]
    columns = {
        "screening": read_text("screening", schema["screening"]).value,
        "found": result.value,
        NOT_FOUND_YET: pl.lit(None, pl.Boolean),
        _HAS_RESULT: pl.when(_is_read(checks, "found")).then(result.value.is_not_null()),
    }
    return LinkedFacts(
        with_problems(rows, checks).select(LINKED_ENTITY, TIME, UNREADABLE, **columns),
        SCREENING_FIELDS,
        lambda: find_problems(rows, checks, columns),
        usual=pl.col(_HAS_RESULT),
        usual_field="found",
    )


def _whole(column: str, wrong: pl.Expr, allowed: str) -> Check:
    """Make the check of a column without which a mark cannot be used; an empty value is not a mistake."""
    return Check(column, None, wrong.fill_null(value=False), allowed)


def _is_read(checks: Sequence[Check], column: str) -> pl.Expr:
    """Tell of which marks a column could be read, or is empty."""
    return pl.all_horizontal(
        [pl.lit(value=True), *(~each.wrong for each in checks if each.column in {NOT_READ, column})]
    )


def _read(frame: pl.DataFrame, what: str, word: str, moment: str) -> tuple[pl.LazyFrame, Sequence[Check]]:
    """Read whose a mark is, and from when; and find what of that cannot be used."""
    schema = frame.schema
    refuse_missing(what, schema, (ENTITY, word), {}, frozenset())
    refuse_link(what, ENTITY, schema[ENTITY])
    link = read_text(ENTITY, schema[ENTITY])
    checks = [Check(NOT_READ, None, pl.col(NOT_READ).is_not_null())] if NOT_READ in schema else []
    checks.append(Check(ENTITY, None, pl.col(LINKED_ENTITY).is_null()))
    time = pl.lit(FROM_THE_START, pl.Int64)
    if moment in schema:
        read = read_time(moment, schema[moment])
        time = read.value.fill_null(FROM_THE_START)
        if read.wrong is not None:
            checks.append(_whole(moment, read.wrong, ALLOWED_TIME))
    time = pl.when(_is_read(checks, moment)).then(time)
    return frame.lazy().with_columns(link.value.alias(LINKED_ENTITY), time.alias(TIME)), checks
