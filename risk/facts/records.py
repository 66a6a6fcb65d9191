"""What people recorded - attributes, cases, alerts, tags, screenings - as it was known at as-of."""

from collections.abc import Mapping
from typing import Final

import polars as pl

from domain.errors import LayoutError
from risk.facts.fields import read_field, read_moments
from risk.facts.portfolio import AS_OF, ENTITY
from risk.facts.problems import Check, find_problems, marked
from risk.facts.reading import Read, read_declared, read_text, read_time, refuse_link, refuse_missing
from risk.facts.source import LINK, SPOILT, TIME, Facts
from risk.language.fields import CASE_FIELDS, FieldType

KNOWN_AT: Final = "known_at"
OPENED, CLOSED, OUTCOME, STATUS = "opened", "closed", "outcome", "status"
OPEN: Final = "open"
"""The status of a case that is not closed yet, whatever became of it later."""

_TAKEN = frozenset({LINK, AS_OF, ENTITY, OPENED, *CASE_FIELDS})
_NUMBER = "@number"


def known_entities(rows: pl.DataFrame, as_of: int | pl.Series) -> pl.DataFrame:
    """Take the attributes of every entity as they were known at its moment.

    Of several rows of an entity the latest by `known_at` holds; of two at the same moment the later one in the frame;
    one without a moment was known from the start. Nothing is known of an entity all whose rows come later.

    Args:
        rows: `entity_id`, attributes, and perhaps `known_at`.
        as_of: one moment (microseconds), or one for each row; all rows of an entity have the same.

    Returns:
        One row for each entity, in the order of their first rows: `entity_id`, `as_of`, the attributes.

    Raises:
        LayoutError: no entity_id, several rows of an entity without `known_at` or with different moments, moments that
            are no microseconds or not one for each row, or a `known_at` that cannot be read.
    """
    if ENTITY not in rows.columns:
        raise LayoutError(f"entities have no {ENTITY}; there are {', '.join(rows.columns) or 'none'}")
    entity = read_field(rows[ENTITY], "text")[0]
    if entity.null_count():
        raise LayoutError(f"entity {entity.is_null().arg_max()} has no {ENTITY}, as text (rows count from 0)")
    moments = as_of if isinstance(as_of, pl.Series) else pl.repeat(as_of, len(rows), dtype=pl.Int64, eager=True)
    if len(moments) != len(rows) or not (moments.dtype.is_integer() or moments.dtype == pl.Null):
        raise LayoutError(
            f"as_of has {len(moments):,} values of {moments.dtype} for {len(rows):,} rows of entities; "
            "it must be one moment for each, in whole microseconds UTC"
        )
    dated = rows.with_columns(entity, moments.cast(pl.Int64).alias(AS_OF)).select(
        ENTITY, AS_OF, pl.exclude(ENTITY, AS_OF)
    )
    if not dated[ENTITY].is_duplicated().any() and KNOWN_AT not in rows.columns:
        return dated
    return _latest_rows(dated)


def _latest_rows(dated: pl.DataFrame) -> pl.DataFrame:
    asked = dated.select(ENTITY, AS_OF).unique(maintain_order=True)
    twice = asked.filter(pl.col(ENTITY).is_duplicated())
    if len(twice):
        raise LayoutError(
            f"entity {twice[ENTITY][0]!r} has rows with different moments of assessment; it must have one"
        )
    if KNOWN_AT not in dated.columns:
        name = dated.filter(pl.col(ENTITY).is_duplicated())[ENTITY][0]
        raise LayoutError(
            f"entity {name!r} has several rows, and there is no column {KNOWN_AT} to tell which one holds"
        )
    known = dated.with_columns(_moments(dated, KNOWN_AT)).filter(_has_come(KNOWN_AT))
    last = known.sort(KNOWN_AT, nulls_last=False, maintain_order=True).unique(ENTITY, keep="last", maintain_order=True)
    return asked.join(last.drop(AS_OF, KNOWN_AT), on=ENTITY, how="left", maintain_order="left")


def prepare_records(frame: pl.DataFrame, declared: Mapping[str, FieldType], what: str = "cases or alerts") -> Facts:
    """Read cases or alerts: facts whose time is when they were closed, and until then when they were opened.

    So what was confirmed counts from its confirmation, however long that took. Until a case was closed its `closed`
    and `outcome` are unknown and its `status` is open, whatever the frame says of later. An outcome without the moment
    from which it was known cannot be used, and is a problem.

    Args:
        frame: `entity_id`, `opened`, and perhaps `closed`, `outcome`, `status`.
        declared: the ruleset's own fields of them.
        what: they are called in errors.

    Raises:
        LayoutError: a column that all have is missing, or `entity_id` is no identifier.
        RulesetNotValid: a column that the ruleset declares is missing.
    """
    schema = frame.schema
    refuse_missing(what, schema, (ENTITY, OPENED), declared, _TAKEN)
    refuse_link(what, ENTITY, schema[ENTITY])
    link, opened = read_text(ENTITY, schema[ENTITY]), read_time(OPENED, schema[OPENED])
    closed = read_time(CLOSED, schema[CLOSED]) if CLOSED in schema else Read(pl.lit(None, pl.Int64))
    outcome, status = (
        read_text(name, schema[name]) if name in schema else Read(pl.lit(None, pl.String)) for name in (OUTCOME, STATUS)
    )
    fields = {name: read_declared(name, schema[name], form) for name, form in declared.items()}
    rows = frame.lazy().with_columns(link.value.alias(LINK), opened.value.alias(TIME))
    checks = [Check(ENTITY, None, pl.col(LINK).is_null()), Check(OPENED, None, pl.col(TIME).is_null())]
    checks += [Check(name, name, read.wrong) for name, read in fields.items() if read.wrong is not None]
    if closed.wrong is not None:
        checks += [Check(CLOSED, name, closed.wrong) for name in (CLOSED, OUTCOME, STATUS)]
    if OUTCOME in schema:
        undated = outcome.value.is_not_null() & (pl.col(CLOSED).is_null() if CLOSED in schema else pl.lit(True))
        checks.append(Check(OUTCOME, OUTCOME, undated, f"with {CLOSED}, the moment from which it was known"))
    read = {CLOSED: closed, OUTCOME: outcome, STATUS: status, **fields}
    return Facts(
        marked(rows, checks).select(LINK, TIME, SPOILT, **{name: one.value for name, one in read.items()}),
        {**declared, **CASE_FIELDS},
        lambda: find_problems(rows, checks),
        as_known=_as_known(),
    )


def _as_known() -> tuple[pl.Expr, ...]:
    known = pl.col(CLOSED) <= pl.col(AS_OF)
    status = pl.when(known).then(pl.col(STATUS).fill_null(CLOSED)).otherwise(pl.lit(OPEN))
    time = pl.when(known).then(pl.col(CLOSED)).otherwise(pl.col(TIME)).alias(TIME)
    return (*(pl.when(known).then(pl.col(name)).alias(name) for name in (CLOSED, OUTCOME)), status.alias(STATUS), time)


def tagged(tags: pl.DataFrame, tag: str, entities: pl.DataFrame) -> pl.Series:
    """Tell which entities had a tag at their moment; never null.

    Args:
        tags: `entity_id`, `tag`, and perhaps `from` (no moment: from the start) and `until` (not included).
        tag: which.
        entities: `entity_id` and `as_of`.
    """
    held = _asked(tags, "tag", tag, entities, "from", "until").filter(
        _has_come("from") & (pl.col("until").is_null() | (pl.col(AS_OF) < pl.col("until")))
    )
    return pl.int_range(len(entities), eager=True).is_in(held[_NUMBER].unique().implode())


def screened(screenings: pl.DataFrame, screening: str, entities: pl.DataFrame) -> pl.Series:
    """Tell what the latest screening by each entity's moment found; null where there was none.

    Args:
        screenings: `entity_id`, `screening`, `found` (true or false), and perhaps `at`; of two at the same moment
            the later one in the frame holds; one without a moment came before all others.
        screening: what was looked for.
        entities: `entity_id` and `as_of`.

    Raises:
        LayoutError: a `found` is neither true nor false.
    """
    met = _asked(screenings, "screening", screening, entities, "at")
    if "found" not in met.columns:
        raise LayoutError(f"screenings have no found; there are {', '.join(screenings.columns)}")
    found, wrong = read_field(met["found"], "flag")
    if wrong is not None:
        raise LayoutError(f"screenings: found is {wrong.drop_nulls()[0]!r}; it must be true or false")
    known = met.with_columns(found).filter(_has_come("at")).sort("at", nulls_last=False, maintain_order=True)
    last = known.unique(_NUMBER, keep="last").select(_NUMBER, "found")
    return entities.select(_numbered()).join(last, on=_NUMBER, how="left", maintain_order="left")["found"]


def _asked(frame: pl.DataFrame, column: str, word: str, entities: pl.DataFrame, *moments: str) -> pl.DataFrame:
    """Join the rows about a *word* with who asks, in the order of the frame, and read their moments."""
    missing = [name for name in (ENTITY, column) if name not in frame.columns]
    if missing:
        there = ", ".join(frame.columns) or "none"
        raise LayoutError(f"{column}s have no {', '.join(missing)}; there are {there}")
    refuse_link(f"{column}s", ENTITY, frame.schema[ENTITY])
    about = frame.filter(pl.col(column).cast(pl.String) == word)
    times = [_moments(about, name) if name in frame.columns else pl.lit(None, pl.Int64).alias(name) for name in moments]
    linked = about.with_columns(read_field(about[ENTITY], "text")[0], *times).drop(AS_OF, strict=False)
    return linked.join(entities.select(_numbered(), ENTITY, AS_OF), on=ENTITY, how="inner", maintain_order="left")


def _numbered() -> pl.Expr:
    return pl.int_range(pl.len(), dtype=pl.Int64).alias(_NUMBER)


def _moments(frame: pl.DataFrame, name: str) -> pl.Series:
    read = read_moments(frame[name]) if frame[name].dtype != pl.Null else frame[name].cast(pl.Int64)
    wrong = frame.filter(read.is_null() & frame[name].is_not_null())
    if len(wrong):
        raise LayoutError(
            f"{name} of entity {wrong[ENTITY][0]!r} is {wrong[name][0]!r}; it must be an ISO 8601 date or time"
        )
    return read


def _has_come(name: str) -> pl.Expr:
    return pl.col(name).is_null() | (pl.col(name) <= pl.col(AS_OF))
