"""Rows of files in the form of the use cases: entities, tags, screenings, links, cases and alerts."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import polars as pl

from fivefold.domain.errors import FileFormatError, InvalidDataError, Problem
from fivefold.domain.text import columns_text, cut_text, nearest
from fivefold.features.column_names import OTHER
from fivefold.features.reading.columns import short_text
from fivefold.risk.facts.groups.links import BEGINS, ENDS, FROM, TO, TYPE
from fivefold.risk.facts.reading import read_field
from fivefold.risk.language.fields import CASE_FIELDS, FieldType, ValueType, value_type_of
from fivefold.usecases.ingest.bulk_facts import RecordRow, ScreeningRow, TagRow
from fivefold.usecases.ingest.facts import RecordGiven
from fivefold.usecases.ingest.links import LinkRow
from fivefold.usecases.ingest.ownerships import OwnersRow
from fivefold.usecases.shared.correction_columns import Rows
from fivefold.usecases.shared.entity_checks import ALLOWED_MOMENT, EntityRow, OwnerGiven, allowed_values
from fivefold.usecases.shared.transaction_columns import (
    ALLOWED_IDENTIFIER,
    CORRECTION_COLUMNS,
    KNOWN,
    misspelt_columns,
)

NAMES = ("entity_id", "user_id")
_WITHOUT_FIELDS = frozenset({"owners", "tags", "screenings", "links"})
OWNER, OWNER_TYPE = "owner_id", "owner_type"
NUMBER = "number"


def read_entity_rows(
    part: pl.DataFrame, fields: Mapping[str, FieldType], type_name: str, source: str
) -> list[EntityRow]:
    """Read entities: `entity_id` (or `user_id`), fields of the type, and optionally `owner_id` and `owner_type`.

    Raises:
        FileFormatError: a column is missing, or is not a field of the type.
        InvalidDataError: unreadable values, each named.
    """
    ids = _ids(part, source)
    _refuse_unknown(part, (*NAMES, OWNER, OWNER_TYPE), fields, source, type_name)
    columns = _read_fields(part, fields, [name for name in part.columns if name in fields and name not in NAMES])
    owners = _owners(part, type_name)
    return [
        EntityRow(
            ids[number] or "",
            {column: values[number] for column, values in columns.items() if values[number] is not None},
            owners[number],
        )
        for number in range(len(part))
    ]


def read_owner_rows(part: pl.DataFrame, type_name: str, source: str) -> list[OwnersRow]:
    """Read owners: `entity_id`, `owner_id`; optionally `owner_type`, `from`, `until`; errors as above."""
    ids = _ids(part, source)
    _check_columns(part, (OWNER,), (*NAMES, OWNER, OWNER_TYPE, "from", "until"), source, "owners")
    read = _Reading(part)
    read.texts(OWNER, required=True)
    begins, ends = read.moments("from"), read.moments("until")
    read.raise_if_any()
    owners = zip(_without_missing(ids), _owners(part, type_name), begins, ends, strict=True)
    return [
        OwnersRow(row, name, (OwnerGiven(*owner, begin, end),) if owner else ())
        for row, (name, owner, begin, end) in enumerate(owners)
    ]


def refuse_misspelt_transactions(part: pl.DataFrame, fields: Mapping[str, FieldType], source: str) -> None:
    """Refuse columns whose names resemble, or mean, a column of transactions that is missing; others are ignored.

    Raises:
        FileFormatError: there is such a column; the message has the `--map` to paste.
    """
    for near, meant in misspelt_columns(part.columns, fields).items():
        if meant not in part.columns:
            raise FileFormatError(
                f"{source} has no column {meant}, and has {near}; perhaps {near} is meant: --map {near}={meant}. "
                f"If it is something else, give it another name, such as --map {near}={near}{OTHER}"
            )


def transaction_rows(part: pl.DataFrame, fields: Mapping[str, FieldType]) -> Rows:
    """Return transactions in the form of `usecases.ingest.transactions.add_transactions`: a frame of typed columns.

    If a column has values of several types, as in JSON, they are rows like those of a request, read value by value.
    """
    if pl.Object not in part.dtypes:
        return part
    known_names = (*KNOWN, *CORRECTION_COLUMNS, *fields)
    return part.select(name for name in part.columns if name in known_names).to_dicts()


def read_tag_rows(part: pl.DataFrame, source: str) -> list[TagRow]:
    """Read tags: `entity_id`, `tag`, and optionally `from` and `until`; errors as of `read_entity_rows`."""
    ids = _ids(part, source)
    _check_columns(part, ("tag",), (*NAMES, "tag", "from", "until"), source, "tags")
    read = _Reading(part)
    words, begins, ends = read.texts("tag", required=True), read.moments("from"), read.moments("until")
    read.raise_if_any()
    return [TagRow(*row) for row in zip(_without_missing(ids), words, begins, ends, strict=True)]


def read_screening_rows(part: pl.DataFrame, source: str) -> list[ScreeningRow]:
    """Read screenings: `entity_id`, `screening`, `found`, `at`; errors as of `read_entity_rows`.

    `at` is required: without it, a repeated screening could not be recognised.
    """
    ids = _ids(part, source)
    _check_columns(part, ("screening", "found", "at"), (*NAMES, "screening", "found", "at"), source, "screenings")
    read = _Reading(part)
    words, matches, at = read.texts("screening", required=True), read.flags("found"), read.moments("at", required=True)
    read.raise_if_any()
    return [ScreeningRow(*row) for row in zip(_without_missing(ids), words, matches, at, strict=True)]


def read_link_rows(part: pl.DataFrame, source: str) -> list[LinkRow]:
    """Read links: `type`, `from`, `to`, and optionally `valid_from`, `valid_until`; errors as of `read_entity_rows`.

    The columns are those of files that are assessed without a platform.
    """
    _check_columns(part, (FROM, TYPE, TO), (FROM, TYPE, TO, BEGINS, ENDS), source, "links")
    read = _Reading(part)
    columns = (read.texts(FROM, required=True), read.texts(TYPE, required=True), read.texts(TO))
    begins, ends = read.moments(BEGINS), read.moments(ENDS)
    read.raise_if_any()
    return [LinkRow(*row) for row in zip(*columns, begins, ends, strict=True)]


def read_record_rows(part: pl.DataFrame, fields: Mapping[str, FieldType], source: str) -> list[RecordRow]:
    """Read cases or alerts: `entity_id`, `number`, `opened`; optionally `closed`, `outcome`, `status`, own fields."""
    ids = _ids(part, source)
    usual = (*NAMES, NUMBER, "opened", *CASE_FIELDS)
    own = {name: form for name, form in fields.items() if name not in CASE_FIELDS}
    _check_columns(part, (NUMBER, "opened"), usual, source, "cases and alerts", own)
    columns = _read_fields(part, own, [name for name in part.columns if name in own and name not in usual])
    read = _Reading(part)
    numbers, openings = read.texts(NUMBER, required=True), read.moments("opened", required=True)
    ends, outcomes, statuses = read.moments("closed"), read.texts("outcome"), read.texts("status")
    read.raise_if_any()
    return [
        RecordRow(
            name,
            RecordGiven(
                external_id=numbers[row],
                opened_us=openings[row],
                closed_us=ends[row],
                outcome=outcomes[row],
                status=statuses[row],
                fields={column: values[row] for column, values in columns.items() if values[row] is not None},
            ),
        )
        for row, name in enumerate(_without_missing(ids))
    ]


class _Reading:
    """Reads columns of a file's part, and collects the problems."""

    def __init__(self, part: pl.DataFrame) -> None:
        self._part = part
        self._problems: list[Problem] = []

    def texts(self, name: str, *, required: bool = False) -> list[Any]:
        return self._read(name, "text", "text", required=required)

    def moments(self, name: str, *, required: bool = False) -> list[Any]:
        """Read moments as microseconds."""
        return self._read(name, "date", ALLOWED_MOMENT, required=required)

    def flags(self, name: str) -> list[Any]:
        return self._read(name, "flag", "true or false", required=True)

    def _read(self, name: str, declared: FieldType, right: str, *, required: bool) -> list[Any]:
        """Read a column; unreadable and missing required values become problems."""
        if name not in self._part.columns:
            return [None] * len(self._part)
        values, wrong = read_field(self._part[name], declared)
        texts = [None] * len(values) if wrong is None else wrong.to_list()
        values_read = values.to_list()
        for row, (text, value) in enumerate(zip(texts, values_read, strict=True)):
            if text is not None:
                self._problems.append(Problem(row, name, f"is {short_text(text)}", right))
            elif value is None and required:
                self._problems.append(Problem(row, name, "is missing", right))
        return values_read

    def raise_if_any(self) -> None:
        """Raise InvalidDataError with all collected problems."""
        if self._problems:
            raise InvalidDataError(self._problems)


def _ids(part: pl.DataFrame, source: str) -> list[str | None]:
    name = next((name for name in NAMES if name in part.columns), None)
    if name is None:
        raise FileFormatError(
            f"{source} has no column {' or '.join(NAMES)}; {columns_text(part.columns)}. "
            f"{_map_hint(NAMES[0], part.columns)}"
        )
    return _names(part, name)


def _names(part: pl.DataFrame, name: str) -> list[str | None]:
    """Read identifiers, which are text or whole numbers; InvalidDataError for other values."""
    values, wrong = read_field(part[name], "text")
    if wrong is not None:
        raise InvalidDataError(
            [
                Problem(row, name, f"is {cut_text(text)}", ALLOWED_IDENTIFIER)
                for row, text in enumerate(wrong.to_list())
                if text is not None
            ]
        )
    return values.to_list()


def _without_missing(ids: Sequence[str | None]) -> list[str]:
    return [name or "" for name in ids]


def _check_columns(
    part: pl.DataFrame,
    required: Sequence[str],
    usual: Sequence[str],
    source: str,
    what: str,
    fields: Mapping[str, FieldType] = MappingProxyType({}),
) -> None:
    """Refuse a file without a required column, and columns that are neither usual nor declared fields."""
    missing = [name for name in required if name not in part.columns]
    if missing:
        free = [name for name in part.columns if name not in usual and name not in fields]
        raise FileFormatError(
            f"{source} has no column {', '.join(missing)}; {columns_text(part.columns)}. {_map_hint(missing[0], free)}"
        )
    _refuse_unknown(part, usual, fields, source, what)


def _map_hint(missing: str, free: Sequence[str]) -> str:
    """Return how to map a column of another name; the example is the free column with the nearest name."""
    return f"Map a column of another name by --map, such as --map {nearest(missing, free) or 'COLUMN'}={missing}"


def _refuse_unknown(
    part: pl.DataFrame, usual: Sequence[str], fields: Mapping[str, FieldType], source: str, what: str
) -> None:
    """Refuse columns that are neither usual nor declared fields."""
    strange = [name for name in part.columns if name not in usual and name not in fields]
    if strange:
        known_names = [*(usual if not fields and what in _WITHOUT_FIELDS else fields)]
        are_not = f"which is not a field of {what}" if len(strange) == 1 else f"which are not fields of {what}"
        the_fields = "the only field is" if len(known_names) == 1 else "the fields are"
        its_fields = f"{the_fields} {', '.join(known_names)}" if known_names else "no fields are declared"
        raise FileFormatError(f"{source} has {', '.join(strange)}, {are_not}; {its_fields}")


def _read_fields(part: pl.DataFrame, fields: Mapping[str, FieldType], names: Sequence[str]) -> dict[str, list[Any]]:
    """Read columns as the engine does, into JSON values; InvalidDataError for unreadable ones."""
    problems: list[Problem] = []
    columns: dict[str, list[Any]] = {}
    for name in names:
        declared = fields[name]
        values, wrong = read_field(part[name], declared)
        if wrong is not None:
            problems += [
                Problem(row, name, f"is {text!r}", allowed_values(declared))
                for row, text in enumerate(wrong.to_list())
                if text is not None
            ]
        moments = value_type_of(declared) is ValueType.MOMENT
        read = values.cast(pl.Datetime("us")).dt.to_string("iso:strict") if moments else values
        columns[name] = read.to_list()
    if problems:
        raise InvalidDataError(problems)
    return columns


def _owners(part: pl.DataFrame, type_name: str) -> list[tuple[str, str] | None]:
    if OWNER not in part.columns:
        return [None] * len(part)
    types = _names(part, OWNER_TYPE) if OWNER_TYPE in part.columns else [None] * len(part)
    names = _names(part, OWNER)
    return [
        None if not name else (type_name if kind is None else kind, name)
        for kind, name in zip(types, names, strict=True)
    ]
