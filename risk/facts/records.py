"""Reads what people recorded (attributes, cases, alerts, tags, screenings) as known at as-of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from fivefold.domain.errors import FileFormatError
from fivefold.features.reading.columns import ALLOWED_TIME
from fivefold.risk.facts.linked import FROM_THE_START, LINKED_ENTITY, TIME, UNREADABLE, LinkedFacts
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, NOT_KNOWN, NOT_READ, error_of
from fivefold.risk.facts.reading import (
    Read,
    read_declared,
    read_field,
    read_text,
    read_time,
    refuse_link,
    refuse_missing,
)
from fivefold.risk.facts.row_errors import Check, find_problems, with_problems
from fivefold.risk.facts.single.values import LeftToColumnsError, own_rows, plain_moments, plain_texts
from fivefold.risk.facts.windows import NOT_FOUND_YET
from fivefold.risk.language.fields import CASE_FIELDS, SCREENING_FIELDS, TAG_FIELDS, FieldType

KNOWN_AT: Final = "known_at"
OPENED, CLOSED, OUTCOME, STATUS = "opened", "closed", "outcome", "status"
OPEN: Final = "open"
"""The status of a case that is not closed yet, even if the frame has its later outcome."""

TAKEN = frozenset({LINKED_ENTITY, AS_OF, ENTITY, OPENED, *CASE_FIELDS})
_NUMBER = "@number"
_UNREAD = "@unread "
_MOMENT = f"it must be {ALLOWED_TIME}"


@dataclass(frozen=True)
class Recorded:
    """The recorded value of each entity.

    Attributes:
        values: a value for each entity, null where unknown.
        wrong: as text, what could not be read and may change the value; null elsewhere. None if all could be read.
    """

    values: pl.Series
    wrong: pl.Series | None = None


def known_entities(rows: pl.DataFrame, as_of: int | pl.Series) -> pl.DataFrame:
    """Return the attributes of every entity as known at its moment.

    Of several rows of an entity the latest by `known_at` holds; of two at the same moment the later one in the frame;
    a row without a moment was known from the start. If all rows come later, nothing is known of the entity. A moment
    that cannot be read may be the latest: every attribute of that entity alone is then an error.

    Args:
        rows: `entity_id`, attributes, and perhaps `known_at`.
        as_of: one moment (microseconds), or one for each row; all rows of an entity have the same.

    Returns:
        One row for each entity, in the order of their first rows: `entity_id`, `as_of`, the attributes.

    Raises:
        FileFormatError: no entity_id, some rows of an entity without `known_at` or with different moments, or moments
            that are not microseconds or not one for each row.
    """
    if ENTITY not in rows.columns:
        raise FileFormatError(f"entities have no {ENTITY}; there are {', '.join(rows.columns) or 'none'}")
    if len(rows) == 1 and isinstance(as_of, int) and KNOWN_AT not in rows.columns and _is_plain(rows[ENTITY]):
        others = [rows[name] for name in rows.columns if name not in {ENTITY, AS_OF}]
        return pl.DataFrame([rows[ENTITY], pl.Series(AS_OF, [as_of], pl.Int64), *others])
    entity = read_field(rows[ENTITY], "text")[0]
    if entity.null_count():
        raise FileFormatError(f"entity {entity.is_null().arg_max()} has no {ENTITY}, as text (rows count from 0)")
    moments = as_of if isinstance(as_of, pl.Series) else pl.repeat(as_of, len(rows), dtype=pl.Int64, eager=True)
    if len(moments) != len(rows) or not (moments.dtype.is_integer() or moments.dtype == pl.Null):
        raise FileFormatError(
            f"as_of has {len(moments):,} values of {moments.dtype} for {len(rows):,} rows of entities; "
            "it must be one moment for each, in whole microseconds UTC"
        )
    dated = rows.with_columns(entity, moments.cast(pl.Int64).alias(AS_OF)).select(
        ENTITY, AS_OF, pl.exclude(ENTITY, AS_OF)
    )
    if not dated[ENTITY].is_duplicated().any() and KNOWN_AT not in rows.columns:
        return dated
    return _latest_rows(dated)


def _is_plain(column: pl.Series) -> bool:
    """Check whether the only identifier is plain text that needs no reading."""
    return column.dtype == pl.String and column[0] is not None and bool(column[0].strip())


def _latest_rows(dated: pl.DataFrame) -> pl.DataFrame:
    entities = dated.select(ENTITY, AS_OF).unique(maintain_order=True)
    twice = entities.filter(pl.col(ENTITY).is_duplicated())
    if len(twice):
        raise FileFormatError(
            f"entity {twice[ENTITY][0]!r} has rows with different moments of assessment; it must have one"
        )
    if KNOWN_AT not in dated.columns:
        name = dated.filter(pl.col(ENTITY).is_duplicated())[ENTITY][0]
        raise FileFormatError(
            f"entity {name!r} has several rows, and there is no column {KNOWN_AT} to tell which one holds"
        )
    known_at, wrong = _moments(dated, KNOWN_AT)
    rows = dated.with_columns(known_at).filter(_has_come(KNOWN_AT))
    last = rows.sort(KNOWN_AT, nulls_last=False, maintain_order=True).unique(ENTITY, keep="last", maintain_order=True)
    latest = entities.join(last.drop(AS_OF, KNOWN_AT), on=ENTITY, how="left", maintain_order="left")
    return latest if wrong is None else _unknown(latest, dated.select(ENTITY, wrong.alias(_NUMBER)))


def _unknown(latest: pl.DataFrame, unread: pl.DataFrame) -> pl.DataFrame:
    """Make every attribute an error where a moment of the entity could not be read."""
    first = unread.drop_nulls().unique(ENTITY, keep="first")
    problem = latest.join(first, on=ENTITY, how="left", maintain_order="left")[_NUMBER]
    text = latest.select(pl.when(problem.is_not_null()).then(pl.format("{}{}", pl.lit(NOT_KNOWN), problem))).to_series()
    attributes = [name for name in latest.columns if name not in {ENTITY, AS_OF} and not name.endswith(error_of(""))]
    before = [
        pl.col(error_of(name)) if error_of(name) in latest.columns else pl.lit(None, pl.String) for name in attributes
    ]
    return latest.with_columns(
        *(pl.when(text.is_null()).then(pl.col(name)).alias(name) for name in attributes),
        *(pl.coalesce(text, own).alias(error_of(name)) for name, own in zip(attributes, before, strict=True)),
    )


def prepare_records(frame: pl.DataFrame, declared: Mapping[str, FieldType], what: str) -> LinkedFacts:
    """Read cases or alerts: facts whose time is their closing, or before that their opening.

    So a confirmed case counts from its confirmation, however long that took. Until a case is closed its `closed` and
    `outcome` are unknown and its `status` is open, even if the frame has later ones. An outcome without a moment of
    closing cannot be used, and is a problem.

    Args:
        frame: `entity_id`, `opened`, and perhaps `closed`, `outcome`, `status`.
        declared: the ruleset's own fields of cases and alerts.
        what: their name in errors.

    Raises:
        FileFormatError: a required column is missing, or `entity_id` is not an identifier.
        InvalidRulesetError: a column that the ruleset declares is missing.
    """
    schema = frame.schema
    refuse_missing(what, schema, (ENTITY, OPENED), declared, TAKEN)
    refuse_link(what, ENTITY, schema[ENTITY])
    link, opened = read_text(ENTITY, schema[ENTITY]), read_time(OPENED, schema[OPENED])
    closed = read_time(CLOSED, schema[CLOSED]) if CLOSED in schema else Read(pl.lit(None, pl.Int64))
    outcome, status = (
        read_text(name, schema[name]) if name in schema else Read(pl.lit(None, pl.String)) for name in (OUTCOME, STATUS)
    )
    fields = {name: read_declared(name, schema[name], form) for name, form in declared.items()}
    rows = frame.lazy().with_columns(link.value.alias(LINKED_ENTITY), opened.value.alias(TIME))
    checks = [Check(NOT_READ, None, pl.col(NOT_READ).is_not_null())] if NOT_READ in schema else []
    checks += [Check(ENTITY, None, pl.col(LINKED_ENTITY).is_null()), Check(OPENED, None, pl.col(TIME).is_null())]
    if closed.wrong is not None:
        checks.append(Check(CLOSED, None, closed.wrong.fill_null(value=False)))
    checks += [Check(name, name, one.wrong) for name, one in fields.items() if one.wrong is not None]
    if OUTCOME in schema:
        undated = outcome.value.is_not_null() & (pl.col(CLOSED).is_null() if CLOSED in schema else pl.lit(True))
        checks.append(Check(OUTCOME, OUTCOME, undated, f"with {CLOSED}, the moment from which it was known"))
    parts = {CLOSED: closed, OUTCOME: outcome, STATUS: status, **fields}
    columns = {name: one.value for name, one in parts.items()}
    return LinkedFacts(
        with_problems(rows, checks).select(LINKED_ENTITY, TIME, UNREADABLE, **columns),
        {**declared, **CASE_FIELDS},
        lambda: find_problems(rows, checks, columns),
        as_known=_as_known(),
        moves=(TIME, CLOSED),
    )


def _as_known() -> tuple[pl.Expr, ...]:
    is_closed = pl.col(CLOSED) <= pl.col(AS_OF)
    status = pl.when(is_closed).then(pl.col(STATUS).fill_null(CLOSED)).otherwise(pl.lit(OPEN))
    time = pl.when(is_closed).then(pl.col(CLOSED)).otherwise(pl.col(TIME)).alias(TIME)
    return (
        *(pl.when(is_closed).then(pl.col(name)).alias(name) for name in (CLOSED, OUTCOME)),
        status.alias(STATUS),
        time,
    )


def tagged(tags: pl.DataFrame, tag: str, entities: pl.DataFrame) -> Recorded:
    """Find which entities had a tag at their moment; unknown only if a deciding moment cannot be read.

    Args:
        tags: `entity_id`, `tag`, and perhaps `from` (null: from the start) and `until` (not included).
        tag: the tag.
        entities: `entity_id` and `as_of`.
    """
    rows = _rows_about(tags, "tag", tag, entities, "from", "until")
    legible = pl.all_horizontal(pl.col(_UNREAD + "from", _UNREAD + "until").is_null())
    begun, lasts = _has_come("from"), pl.col("until").is_null() | (pl.col(AS_OF) < pl.col("until"))
    valid = rows.filter(legible & begun & lasts)
    # An unreadable moment is null here: so the tag may have begun, and may last.
    doubtful = rows.filter(~legible & begun & lasts & ~pl.col(_NUMBER).is_in(valid[_NUMBER].unique().implode()))
    values = pl.int_range(len(entities), eager=True).is_in(valid[_NUMBER].unique().implode())
    return _recorded(values, doubtful.select(_NUMBER, pl.coalesce(_UNREAD + "from", _UNREAD + "until")))


def screened(screenings: pl.DataFrame, screening: str, entities: pl.DataFrame) -> Recorded:
    """Return the result of the latest screening by each entity's moment; unknown if there was none.

    A later screening without a result (null) changes nothing: the last known result holds until the next. If the latest
    one cannot be read, or one with an unreadable moment may be the latest, that is an error.

    Args:
        screenings: `entity_id`, `screening`, `found` (true or false), and perhaps `at`; of two at the same moment
            the later one in the frame holds; one without a moment came before all others; `found` is null if a
            screening had no result.
        screening: what was searched for.
        entities: `entity_id` and `as_of`.

    Raises:
        FileFormatError: there is no column `found`.
    """
    rows = _rows_about(screenings, "screening", screening, entities, "at")
    if "found" not in rows.columns:
        raise FileFormatError(f"screenings have no found; there are {', '.join(screenings.columns)}")
    result, wrong = read_field(rows["found"], "flag")
    unread = pl.lit(None, pl.String) if wrong is None else pl.format("found is {}; it must be true or false", wrong)
    unread = pl.coalesce(NOT_READ, unread) if NOT_READ in rows.columns else unread
    results = rows.with_columns(result, unread.alias(_UNREAD + "found"))
    known_rows = results.filter(
        _has_come("at") & (pl.col("found").is_not_null() | pl.col(_UNREAD + "found").is_not_null())
    )
    undated = known_rows.filter(pl.col(_UNREAD + "at").is_not_null()).select(_NUMBER, _UNREAD + "at")
    last = known_rows.sort("at", nulls_last=False, maintain_order=True).unique(_NUMBER, keep="last")
    joined = entities.select(_numbered()).join(last, on=_NUMBER, how="left", maintain_order="left")
    unreadable = last.select(_NUMBER, pl.col(_UNREAD + "found").alias(_UNREAD + "at")).drop_nulls()
    return _recorded(joined["found"], pl.concat([undated, unreadable]))


def next_dates(frame: pl.DataFrame, column: str, word: str, entities: pl.DataFrame, *moments: str) -> pl.DataFrame:
    """Find for each entity the first moment after its own at which something about a *word* begins or ends.

    Args:
        frame: the tags or screenings.
        column: the column of the word, `tag` or `screening`.
        word: the tag, or what was searched for.
        entities: `entity_id` and `as_of`.
        *moments: the columns of moments.

    Returns:
        `number` (from 0, in the order of *entities*) and `at` (microseconds), the first one of each.
    """
    if len(entities) == 1 and {ENTITY, column} <= set(frame.columns):
        try:
            return _next_date_of_one(frame, column, word, entities, *moments)
        except LeftToColumnsError:
            pass
    rows = _rows_about(frame, column, word, entities, *moments)
    return _first_after(rows, *moments)


def _next_date_of_one(
    frame: pl.DataFrame, column: str, word: str, entities: pl.DataFrame, *moments: str
) -> pl.DataFrame:
    """Compute `next_dates` for one entity from plain values; raises LeftToColumnsError for others."""
    mine, as_of = own_rows(frame, entities[ENTITY][0]), entities[AS_OF][0]
    words = plain_texts(mine[column])
    dates = [plain_moments(mine[name]) for name in moments if name in mine.columns]
    rows = zip(words, *dates, strict=True)
    later = [at for text, *ats in rows if text == word for at in ats if at is not None and at > as_of]
    first = [min(later)] if later else []
    return pl.DataFrame({"number": [0] * len(first), "at": first}, schema={"number": pl.Int64, "at": pl.Int64})


def next_known(rows: pl.DataFrame, entities: pl.DataFrame) -> pl.DataFrame:
    """Find the first later moment at which attributes of each entity become known, in the form of `next_dates`."""
    if KNOWN_AT not in rows.columns:
        return pl.DataFrame(schema={"number": pl.Int64, "at": pl.Int64})
    dated = rows.select(read_field(rows[ENTITY], "text")[0], _moments(rows, KNOWN_AT)[0])
    numbered = entities.select(_numbered(), ENTITY, AS_OF)
    return _first_after(dated.join(numbered, on=ENTITY, how="inner"), KNOWN_AT)


def _first_after(rows: pl.DataFrame, *moments: str) -> pl.DataFrame:
    later = [pl.when(pl.col(name) > pl.col(AS_OF)).then(pl.col(name)) for name in moments]
    first = rows.select(pl.col(_NUMBER).alias("number"), pl.min_horizontal(later).alias("at")).drop_nulls()
    return first.group_by("number").agg(pl.col("at").min())


def _recorded(values: pl.Series, doubtful: pl.DataFrame) -> Recorded:
    """Remove values that something unreadable may change; *doubtful* has the entity's number and the problem."""
    if not len(doubtful):
        return Recorded(values)
    first = doubtful.rename(dict(zip(doubtful.columns, (_NUMBER, _UNREAD), strict=True)))
    first = first.unique(_NUMBER, keep="first", maintain_order=True)
    numbers = pl.DataFrame({_NUMBER: pl.int_range(len(values), dtype=pl.Int64, eager=True)})
    wrong = numbers.join(first, on=_NUMBER, how="left", maintain_order="left")[_UNREAD]
    return Recorded(values.set(wrong.is_not_null(), None), wrong)


def _rows_about(frame: pl.DataFrame, column: str, word: str, entities: pl.DataFrame, *moments: str) -> pl.DataFrame:
    """Join the rows about a *word* with the entities, in the order of the frame, and read their moments."""
    missing = [name for name in (ENTITY, column) if name not in frame.columns]
    if missing:
        there = ", ".join(frame.columns) or "none"
        raise FileFormatError(f"{column}s have no {', '.join(missing)}; there are {there}")
    refuse_link(f"{column}s", ENTITY, frame.schema[ENTITY])
    unread = pl.col(NOT_READ).is_not_null() if NOT_READ in frame.columns else pl.lit(False)  # may be about any word
    about = frame.filter((pl.col(column).cast(pl.String) == word) | unread)
    columns = [column for name in moments for column in _dated(about, name)]
    linked = about.with_columns(read_field(about[ENTITY], "text")[0], *columns).drop(AS_OF, strict=False)
    return linked.join(entities.select(_numbered(), ENTITY, AS_OF), on=ENTITY, how="inner", maintain_order="left")


def _dated(frame: pl.DataFrame, name: str) -> list[pl.Series]:
    """Read a column of moments, and a column beside it of what could not be read."""
    unread = _UNREAD + name
    whole = frame[NOT_READ].alias(unread) if NOT_READ in frame.columns else _nothing(unread, len(frame))
    if name not in frame.columns:
        return [pl.Series(name, [None], pl.Int64).new_from_index(0, len(frame)), whole]
    moments, wrong = _moments(frame, name)
    return [moments, whole if wrong is None else whole.zip_with(whole.is_not_null(), wrong.alias(unread))]


def _nothing(name: str, rows: int) -> pl.Series:
    return pl.Series(name, [None], pl.String).new_from_index(0, rows)


def _numbered() -> pl.Expr:
    return pl.int_range(pl.len(), dtype=pl.Int64).alias(_NUMBER)


def _moments(frame: pl.DataFrame, name: str) -> tuple[pl.Series, pl.Series | None]:
    """Read moments, null where there is none; and in words what could not be read, None if all could be read."""
    moments, wrong = read_field(frame[name], "date")
    if wrong is None:
        return moments, None
    words = pl.when(wrong.is_not_null()).then(pl.format("{} is {}; {}", pl.lit(name), wrong, pl.lit(_MOMENT)))
    return moments, frame.select(words.alias(name)).to_series()


def _has_come(name: str) -> pl.Expr:
    return pl.col(name).is_null() | (pl.col(name) <= pl.col(AS_OF))


_UNTIL = "until"
_HAS_RESULT = "@has_result"
"""A column of screenings: null where the result cannot be read."""


def prepare_tags(frame: pl.DataFrame) -> LinkedFacts:
    """Read tags: facts from when they were given until they end, which is not included.

    Args:
        frame: `entity_id`, `tag`, and perhaps `from` (null: from the start) and `until`.

    Raises:
        FileFormatError: a required column is missing, or `entity_id` is not an identifier.
    """
    schema = frame.schema
    rows, checks = _read_mark(frame, "tags", "tag", "from")
    until = read_time(_UNTIL, schema[_UNTIL]) if _UNTIL in schema else None
    if until is not None and until.wrong is not None:
        checks = [*checks, _whole_mark(_UNTIL, until.wrong, ALLOWED_TIME)]
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
    """Read screenings; one without a result counts only if `where` tests `found`.

    Args:
        frame: `entity_id`, `screening`, `found`, and perhaps `at` (null: before all others).

    Raises:
        FileFormatError: a required column is missing, or `entity_id` is not an identifier.
    """
    schema = frame.schema
    refuse_missing("screenings", schema, ("found",), {}, frozenset())
    rows, checks = _read_mark(frame, "screenings", "screening", "at")
    result = read_declared("found", schema["found"], "flag")
    if result.wrong is not None:
        checks = [*checks, _whole_mark("found", result.wrong, "true or false")]
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


def _whole_mark(column: str, wrong: pl.Expr, allowed: str) -> Check:
    """Make the check of a column whose errors make the whole mark unusable; an empty value is not an error."""
    return Check(column, None, wrong.fill_null(value=False), allowed)


def _is_read(checks: Sequence[Check], column: str) -> pl.Expr:
    """True for the marks whose column could be read, or is empty."""
    return pl.all_horizontal(
        [pl.lit(value=True), *(~each.wrong for each in checks if each.column in {NOT_READ, column})]
    )


def _read_mark(frame: pl.DataFrame, what: str, word: str, moment: str) -> tuple[pl.LazyFrame, Sequence[Check]]:
    """Read the entity of a mark, and its beginning, with the checks of both."""
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
            checks.append(_whole_mark(moment, read.wrong, ALLOWED_TIME))
    time = pl.when(_is_read(checks, moment)).then(time)
    return frame.lazy().with_columns(link.value.alias(LINKED_ENTITY), time.alias(TIME)), checks
