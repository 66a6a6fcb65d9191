"""Reads stored facts about entities as the portfolio that the engine assesses; begins no transaction.

Transactions are as corrected by the moment of the assessment; those reversed by then are left out.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import polars as pl
from sqlalchemy.orm import Session

from fivefold.domain.clock import from_microseconds
from fivefold.domain.money import RateTable
from fivefold.features.histories import Histories
from fivefold.features.indicator_matrix import catalogue
from fivefold.features.stored import stored_histories
from fivefold.risk.compiler.analysis import Analysed
from fivefold.risk.facts.inputs import Needs, part_of
from fivefold.risk.facts.look_back import FEWEST, RULES, SUMMARY_READS, LookBack, of_many, summary_of, with_summary
from fivefold.risk.facts.portfolio import ENTITY, VALUE_CURRENCY, NamedList, Portfolio
from fivefold.risk.facts.value_inputs import indicator_frame, with_failures
from fivefold.risk.language.expressions import VALUES
from fivefold.risk.language.fields import CASE_FIELDS, FieldType, ValueType, value_type_of
from fivefold.store.accounts.organisation import base_currency_of
from fivefold.store.ingest import blocks
from fivefold.store.ingest.blocks import NewBlocks, ReadTransactions
from fivefold.store.levels import bulk_reads as loading
from fivefold.store.levels.summaries import summaries, summary_transactions
from fivefold.store.tables.entities import EntityType
from fivefold.usecases.accounts.lists import lists_of
from fivefold.usecases.levels.groups.links import LinkedEntities, read_linked
from fivefold.usecases.shared.entity_checks import FIELDS
from fivefold.usecases.shared.rates import rates_for

_KEYS = ("entity", "transaction_id")


def with_corrections(stored: pl.DataFrame, corrections: pl.DataFrame) -> pl.DataFrame:
    """Apply corrections to transactions; these stay in the order of time.

    A correction changes only the columns that it names; others keep their value, also from earlier corrections. The
    last one decides whether a transaction counts: a reversed one counts again once it is corrected.

    Args:
        stored: rows of `store.levels.bulk_reads.transactions`.
        corrections: rows of `store.levels.bulk_reads.corrections`, of the same columns, known by now, in their order.
    """
    if not len(corrections):
        return stored
    values = [name for name in stored.columns if name not in {*_KEYS, "content"}]
    newest = corrections.group_by(_KEYS).agg(
        *(pl.col(name).drop_nulls().last().alias(f"said_{name}") for name in values),
        said_content=pl.col("content").drop_nulls(),
        reversed=pl.col("kind").last() == "reversal",
    )
    beside = stored.join(newest, on=_KEYS, how="left", maintain_order="left")
    counted = beside.filter(~pl.col("reversed").fill_null(False))
    rows = counted.with_columns(pl.coalesce(f"said_{name}", name).alias(name) for name in values)
    return _with_contents(rows).select(stored.columns).sort("entity", "at_us", "transaction_id")


def _with_contents(rows: pl.DataFrame) -> pl.DataFrame:
    """Apply corrections to the type's own fields, field by field."""
    places = (rows["said_content"].list.len() > 0).fill_null(False).arg_true()
    if not len(places):
        return rows
    merged = [_merged(first, more) for first, more in rows[places].select("content", "said_content").iter_rows()]
    return rows.with_columns(rows["content"].scatter(places, merged))


def _merged(first: str | None, more: Sequence[str]) -> str:
    fields = {} if first is None else json.loads(first)
    for content in more:
        fields |= json.loads(content)
    return json.dumps(fields, ensure_ascii=False)


_JSON_TYPES: Mapping[ValueType, Any] = {
    ValueType.TEXT: pl.String,
    ValueType.NUMBER: pl.Float64,
    ValueType.FLAG: pl.Boolean,
    ValueType.MOMENT: pl.String,
    ValueType.TEXTS: pl.List(pl.String),
}
"""The Polars types of a type's own fields of transactions and cases, which are read from JSON."""


def read_stored_portfolio(
    session: Session,
    organisation_id: int,
    type_id: int,
    entity_ids: Sequence[int],
    rulesets: Sequence[Analysed[Any]],
    as_of_us: int,
    *,
    stored: pl.DataFrame | None = None,
    values: pl.DataFrame | None = None,
    linked: LinkedEntities | None = None,
    lists: Mapping[str, NamedList] | None = None,
    earlier: bool = False,
    known_then: bool = False,
) -> Portfolio:
    """Read everything that any of the rulesets reads; `entity_id` is an entity's number as text.

    Args:
        session: to read with.
        organisation_id: the organisation of the entities.
        type_id: their type.
        entity_ids: their numbers.
        rulesets: the rulesets, and groups, that are evaluated.
        as_of_us: the moment; later facts are read too, and the engine ignores them.
        stored: transactions from `read_transactions`, if already read, with all that the rulesets need.
        values: the values computed now, in place of the last stored ones.
        linked: the linked entities, if already read.
        lists: the lists from `usecases.accounts.lists.lists_of`, if already read.
        earlier: whether moments before *as_of_us* are assessed too, whose windows open earlier.
        known_then: whether to read fields, values and screenings as known by *as_of_us*, of entities added by then.
    """
    if known_then:
        entity_ids = loading.entities_there(session, entity_ids, as_of_us)
    parts, whose = set[str]().union(*map(parts_of, rulesets)), (organisation_id, type_id, entity_ids)
    back, rules = (None, None) if earlier else (LookBack.of(rulesets), LookBack.of(rulesets, RULES))
    linked = linked or read_linked(session, type_id, entity_ids, rulesets, as_of_us, earlier=earlier)
    lists = lists_of(session, organisation_id, rulesets) if lists is None else lists
    read: dict[str, Any] = {"stored": stored, "values": values, "linked": linked, "lists": lists}
    read |= {"back": back, "rules": rules, "known_by_us": as_of_us if known_then else None}
    return read_parts(session, *whose, parts, as_of_us, **read)


def read_parts(
    session: Session,
    organisation_id: int,
    type_id: int,
    entity_ids: Sequence[int],
    parts: set[str],
    as_of_us: int,
    *,
    back: LookBack | None = None,
    rules: LookBack | None = None,
    stored: pl.DataFrame | None = None,
    values: pl.DataFrame | None = None,
    rates: RateTable | None = None,
    lists: Mapping[str, NamedList],
    linked: LinkedEntities | None = None,
    known_by_us: int | None = None,
    pending: Collection[tuple[int, str]] = (),
) -> Portfolio:
    """Read the entities and some *parts* of their facts, with *lists* by name.

    The same is read of *linked* entities, except indicators and values, which no group reads. *back* and *pending* are
    as in `read_transactions`; *rules* is the look-back of the rules that read transactions themselves. Fields, values
    and screenings are the latest, or those known by *known_by_us*. *rates* are read if not given.
    """
    everyone = entity_ids if linked is None else linked.everyone()
    kind = session.get_one(EntityType, type_id)
    if rates is None:
        day = from_microseconds(as_of_us).date()
        rates = rates_for(session, organisation_id, base_currency_of(session, organisation_id), day)
    owned = parts & {"transactions", "cases", "alerts", "indicators"}
    whose = loading.fact_owners(session, everyone) if owned else None
    read: dict[str, Any] = {}
    if whose is not None and parts & {"transactions", "indicators"}:
        if stored is None:
            for_value = "indicators" in parts
            stored = read_transactions(session, whose, as_of_us, for_value=for_value, back=back, pending=pending)
        if "transactions" in parts:
            declared = FIELDS.validate_python(kind.transaction_fields)
            mixed = _mixed(session, whose, "transaction_fields", declared)
            looked_at = stored if rules is None else _looked_at(stored, rules, as_of_us)
            read["transactions"] = transactions_frame(looked_at, declared, mixed=mixed)
        if "indicators" in parts:
            read["histories"] = stored_histories(stored.filter(pl.col("entity").is_in(list(entity_ids))), rates)
            read["indicators"] = _indicators(read["histories"], as_of_us)
    for part in parts & {"cases", "alerts"}:
        assert whose is not None
        declared = FIELDS.validate_python(kind.case_fields)
        mixed = _mixed(session, whose, "case_fields", declared)
        read[part] = _records(session, part.removesuffix("s"), whose, declared, mixed=mixed)
    screenings = partial(_screenings, known_by_us=known_by_us)
    of_everyone: Mapping[str, _ReadFrame] = {"tags": _tags, "screenings": screenings}
    read |= {part: of_everyone[part](session, everyone) for part in parts & of_everyone.keys()}
    if "values" in parts:
        read["values"] = values if values is not None else _values(session, entity_ids, known_by_us)
    fields = FIELDS.validate_python(kind.fields)
    read["entities"] = _entities(session, entity_ids, fields, known_by_us)
    if linked is not None:
        read["links"] = linked.links
        read["everyone"] = _entities(session, everyone, fields, known_by_us)
    return Portfolio(rates=rates, lists=lists, stored=True, **read)


def _looked_at(stored: pl.DataFrame, rules: LookBack, as_of_us: int) -> pl.DataFrame:
    """Leave out transactions that rules do not read, if no summary of them is needed or one can be made of *stored*."""
    opens_us, can_be_made = rules.opens_us(as_of_us), {*stored.columns} >= SUMMARY_READS
    if opens_us is None or (rules.summary and not can_be_made):
        return stored
    return with_summary(stored, opens_us, needed=bool(rules.summary))


def parts_of(analysed: Analysed[Any]) -> set[str]:
    """Return the parts of a portfolio that a ruleset or a policy reads beside the entities, of linked ones too."""
    return {part for input_ in Needs.of(analysed).facts if (part := part_of(input_)) is not None}


@dataclass(frozen=True)
class TransactionsRead:
    """Transactions that count for entities, and what to store so that they are read faster.

    Attributes:
        rows: the transactions, in the order of time.
        summary: new summaries for `store.levels.summaries.store_summaries`; None if there are none.
        blocks: new blocks for `store.ingest.blocks.store_blocks`.
    """

    rows: pl.DataFrame
    summary: pl.DataFrame | None = None
    blocks: Sequence[NewBlocks] = ()


def read_transactions(
    session: Session,
    whose: pl.DataFrame,
    as_of_us: int,
    *,
    for_value: bool,
    back: LookBack | None = None,
    pending: Collection[tuple[int, str]] = (),
) -> pl.DataFrame:
    """Read the transactions that count for entities, in the order of time.

    These are their own, and those of entities that they own or owned, from the time in which they owned them.

    They are as known at *as_of_us*: corrected, and without reversed ones. *for_value* adds the columns that
    `features.stored.stored_histories` needs. *back* leaves out what lies before that look-back at *as_of_us*, and so
    later too; without it, all are read. *pending*, by entity and number, are being decided on, and are left out where
    they are stored: a pending transaction does not count.
    """
    return _without(transactions_for(session, whose, as_of_us, for_value=for_value, back=back).rows, pending)


def _without(stored: pl.DataFrame, pending: Collection[tuple[int, str]]) -> pl.DataFrame:
    """Leave out the transactions that are being decided on; mostly none of them is stored."""
    if not pending or not stored["transaction_id"].is_in([number for _, number in pending]).any():
        return stored
    decided_on = pl.DataFrame(list(pending), schema=dict(zip(_KEYS, (pl.Int64, pl.String), strict=True)), orient="row")
    return stored.join(decided_on, on=_KEYS, how="anti", maintain_order="left")


def transactions_for(
    session: Session,
    whose: pl.DataFrame,
    as_of_us: int,
    *,
    for_value: bool,
    back: LookBack | None,
    stored_of: Sequence[int] = (),
) -> TransactionsRead:
    """Read transactions as `read_transactions` does, and return with them the summaries and blocks to store.

    Both are made of many rows alone: summaries with *for_value*, whose columns they need, and where *back* can do with
    them; blocks for the entities in *stored_of*.
    """
    ids = _facts_of(whose)
    opens_us = None if back is None else back.opens_us(as_of_us)
    corrections = loading.corrections(session, ids, for_value=for_value)
    summary = None
    if back is None or opens_us is None or not back.summary:
        read = [blocks.transactions(session, ids, for_value=for_value, after_us=opens_us)]
        stored = read[0].rows
    else:
        stored, own, read = _with_summaries(session, whose, opens_us, for_value=for_value)
        if for_value:
            summary = _new_summaries(stored, own, corrections, opens_us)
    of_blocks = read if stored_of else []
    new_blocks = [new for each in of_blocks for new in blocks.new_blocks(session, stored_of, each, as_of_us)]
    if len(corrections):
        if opens_us is not None:
            earlier = loading.corrected_transactions(session, ids, for_value=for_value)
            stored = pl.concat([stored, earlier]).unique(list(_KEYS)).sort(*loading.IN_ORDER)
        stored = with_corrections(stored, corrections.filter(pl.col("known_us") <= as_of_us))
    return TransactionsRead(counted_for(stored, whose, "at_us"), summary, new_blocks)


def count_rows(session: Session, whose: pl.DataFrame, as_of_us: int, back: LookBack | None) -> dict[int, int]:
    """Return by entity about how many transactions `transactions_for` reads, without corrected and summarised ones."""
    opens_us = None if back is None else back.opens_us(as_of_us)
    if back is None or opens_us is None or not back.summary:
        counts = loading.transaction_counts(session, whose["fact_of"].unique().to_list(), after_us=opens_us)
    else:
        others, summarised, until_us = _summarised(session, whose, opens_us)[1:]
        counts = loading.transaction_counts(session, others)
        if summarised:
            counts = pl.concat([counts, loading.transaction_counts(session, summarised, after_us=until_us)])
    of = whose.join(counts, left_on="fact_of", right_on="entity").group_by("entity").agg(pl.col("count").sum())
    return dict(of.iter_rows())


def _summarised(session: Session, whose: pl.DataFrame, opens_us: int) -> tuple[pl.DataFrame, list[int], list[int], int]:
    """Find the entities with a summary that reaches into no window.

    Entities that another one owns or owned are left out: they count for it only in that time, unlike a summary.

    Returns:
        The entities that may have a summary, `entity`, with `until_us` of the present one, or null; those to read in
        full; those with a summary; and the first moment at which one of these summaries ends, or 0.
    """
    rows, facts = whose[["fact_of", "entity"]].rows(), set(whose["fact_of"].to_list())
    own = sorted(facts.difference(fact_of for fact_of, entity in rows if entity != fact_of))
    before = {entity: until_us for entity, until_us in summaries(session, own).rows() if until_us <= opens_us}
    columns = {"entity": own, "until_us": list(map(before.get, own))}
    ends = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.Int64))
    return ends, sorted(facts.difference(before)), list(before), min(before.values(), default=0)


def _with_summaries(
    session: Session, whose: pl.DataFrame, opens_us: int, *, for_value: bool
) -> tuple[pl.DataFrame, pl.DataFrame, list[ReadTransactions]]:
    """Read the transactions of summaries and all later ones, and every transaction of entities without a summary.

    Returns the rows, the entities that may have a summary, as `_summarised` does, and what was read beside summaries.
    """
    own, others, summarised, until_us = _summarised(session, whose, opens_us)
    read = [blocks.transactions(session, others, for_value=for_value)] if others or not summarised else []
    if summarised:
        read.append(blocks.transactions(session, summarised, for_value=for_value, after_us=until_us))
    parts = [each.rows for each in read]
    if summarised:
        parts.append(summary_transactions(session, summarised, for_value=for_value))
    if len(parts) == 1:
        return parts[0], own, read
    return pl.concat(parts).unique(["entity", "transaction_id"]).sort(*loading.IN_ORDER), own, read


def _new_summaries(
    stored: pl.DataFrame, own: pl.DataFrame, corrections: pl.DataFrame, until_us: int
) -> pl.DataFrame | None:
    """Make summaries of entities with many transactions before a moment that are in no summary; None if there are none.

    Transactions that were ever corrected are always read, and are in no summary.
    """
    is_before = stored["at_us"] <= until_us
    if is_before.sum() < FEWEST or not len(before := of_many(stored.filter(is_before))):
        return None
    uncorrected = before.join(corrections, on=["entity", "transaction_id"], how="anti")
    early = uncorrected.join(own, on="entity")
    new = early.filter(pl.col("until_us").is_null() | (pl.col("at_us") > pl.col("until_us")))
    many = new.group_by("entity").len().filter(pl.col("len") >= FEWEST)["entity"]
    if not len(many):
        return None
    chosen = summary_of(uncorrected.filter(pl.col("entity").is_in(many.implode())), until_us)
    return chosen.with_columns(pl.lit(until_us, pl.Int64).alias("until_us"))


def coming_corrections(session: Session, whose: pl.DataFrame, as_of_us: int) -> pl.DataFrame:
    """Return the entities for which a correction of a transaction counts only later, and when: `entity`, `at_us`."""
    coming = loading.corrections_to_come(session, _facts_of(whose), as_of_us)
    if not len(coming):
        return coming
    about = coming.rename({"entity": "fact_of"}).join(whose.select("fact_of", "entity"), on="fact_of")
    return about.select("entity", "at_us")


def _facts_of(whose: pl.DataFrame) -> list[int]:
    """Return the numbers of the entities whose facts count; in plain Python, as a query of one row takes longer."""
    return sorted(set(whose["fact_of"].to_list()))


def counted_for(facts: pl.DataFrame, whose: pl.DataFrame, at: str) -> pl.DataFrame:
    """Return each fact once for its entity, and once, in full, for each entity that owned it at the fact's moment."""
    whom = whose["entity"].to_list()
    if whose["fact_of"].to_list() == whom and len(set(whom)) == len(whom):
        return facts
    of = whose.select("fact_of", "entity", "from_us", "until_us")
    counted = facts.rename({"entity": "fact_of"}).join(of, on="fact_of", maintain_order="left")
    begun = pl.col("from_us").is_null() | (pl.col("from_us") <= pl.col(at))
    goes_on = pl.col("until_us").is_null() | (pl.col("until_us") > pl.col(at))
    return counted.filter(begun & goes_on).select("entity", pl.exclude("entity", "fact_of", "from_us", "until_us"))


def _entities(session: Session, ids: Sequence[int], fields: Mapping[str, FieldType], by_us: int | None) -> pl.DataFrame:
    rows = loading.entities(session, ids, by_us)
    return _of_entities(rows, [*_own_fields(rows["content"], fields, mixed=False)])


def _mixed(session: Session, whose: pl.DataFrame, part: str, declared: Mapping[str, FieldType]) -> bool:
    """Check whether an owned entity is of a type that declares a field of the same name as another kind of value."""
    for type_id in set(whose["type_id"].to_list()) - {None}:
        theirs = FIELDS.validate_python(getattr(session.get_one(EntityType, type_id), part))
        if any(
            value_type_of(theirs[name]) is not value_type_of(form) for name, form in declared.items() if name in theirs
        ):
            return True
    return False


def transactions_frame(stored: pl.DataFrame, declared: Mapping[str, FieldType], *, mixed: bool = False) -> pl.DataFrame:
    """Return transactions in the columns that the engine reads; *declared* are the type's own fields.

    *mixed*: a field may be of another kind in some of them, and is null there.
    """
    plain = (stored["transaction_id"], stored["at_us"].alias("time"), stored["amount"], stored["currency"])
    own = _own_fields(stored["content"], declared, mixed=mixed)
    return _of_entities(stored, [*plain, stored["state"], *own])


def transaction_types(declared: Mapping[str, FieldType]) -> dict[str, Any]:
    """Return the columns that `transactions_frame` makes, with their types."""
    columns = {ENTITY: pl.String, "transaction_id": pl.String, "time": pl.Int64, "amount": pl.Float64}
    own = {name: _JSON_TYPES[value_type_of(form)] for name, form in declared.items()}
    return {**columns, "currency": pl.String, "state": pl.String, **own}


def _own_fields(content: pl.Series, declared: Mapping[str, FieldType], *, mixed: bool) -> list[pl.Series]:
    """Read own fields from their JSON; all at once if no kinds are mixed, as `json_decode` does not check kinds."""
    if not declared:
        return []
    kinds = {name: _JSON_TYPES[value_type_of(form)] for name, form in declared.items()}
    if mixed or len(content) < loading.MANY:
        return _own_fields_one_by_one(content, kinds)
    decoded = _decoded(content.fill_null("{}"), pl.Struct(kinds)).struct.unnest()
    return [decoded[name] for name in declared]


def _decoded(texts: pl.Series, kind: pl.Struct) -> pl.Series:
    """Decode texts as JSON; each different text once where many are equal, as in one entity's payments."""
    if len(texts) < FEWEST:  # to find equal ones would take longer than to decode all
        return texts.str.json_decode(kind)
    different = texts.unique()
    if 2 * len(different) > len(texts):
        return texts.str.json_decode(kind)
    return different.str.json_decode(kind).gather(texts.cast(pl.Enum(different)).to_physical())


def _own_fields_one_by_one(content: pl.Series, kinds: Mapping[str, Any]) -> list[pl.Series]:
    """Read own fields one by one, with null for a value of another kind."""
    texts = content.to_list()
    read = {text: {} if text is None else json.loads(text) for text in set(texts)}
    rows = [read[text] for text in texts]
    return [
        pl.Series(name, [row.get(name) if _is_of(kind, row.get(name)) else None for row in rows], kind)
        for name, kind in kinds.items()
    ]


def _is_of(kind: Any, value: Any) -> bool:
    if kind == pl.Float64:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, list if kind == pl.List(pl.String) else bool if kind == pl.Boolean else str)


def _indicators(histories: Histories, as_of_us: int) -> pl.DataFrame:
    if not histories.customers:
        return pl.DataFrame(schema={ENTITY: pl.String, **dict.fromkeys(catalogue().names, pl.Float64)})
    return indicator_frame(histories, as_of_us)


def _records(
    session: Session, kind: str, whose: pl.DataFrame, declared: Mapping[str, FieldType], *, mixed: bool
) -> pl.DataFrame:
    stored = counted_for(loading.records(session, kind, _facts_of(whose)), whose, "opened_us")
    own = {name: form for name, form in declared.items() if name not in CASE_FIELDS}
    plain = (_moments(stored, "opened"), _moments(stored, "closed"), stored["outcome"], stored["status"])
    return _of_entities(stored, [*plain, *_own_fields(stored["content"], own, mixed=mixed)])


def _tags(session: Session, entity_ids: Sequence[int]) -> pl.DataFrame:
    rows = loading.tags(session, entity_ids)
    return _of_entities(rows, [rows["tag"], _moments(rows, "from"), _moments(rows, "until")])


_ReadFrame = Callable[[Session, Sequence[int]], pl.DataFrame]


def _screenings(session: Session, entity_ids: Sequence[int], *, known_by_us: int | None) -> pl.DataFrame:
    rows = loading.screenings(session, entity_ids, known_by_us)
    return _of_entities(rows, [rows["screening"], rows["found"].cast(pl.Boolean), _moments(rows, "at")])


def _values(session: Session, entity_ids: Sequence[int], known_by_us: int | None) -> pl.DataFrame:
    rows = loading.value_scores(session, entity_ids, known_by_us)
    names = (*VALUES, VALUE_CURRENCY, "model", "model_version", "as_of_us", "failure")
    return with_failures(_of_entities(rows, [rows[name] for name in names]))


def entity_text() -> pl.Expr:
    """Return the number of each stored entity as text, which is its id in the engine."""
    return pl.col("entity").cast(pl.String).alias(ENTITY)


def _of_entities(rows: pl.DataFrame, columns: Sequence[pl.Series]) -> pl.DataFrame:
    """Put the entity of each row before columns, without a query, which takes longer for few rows."""
    return rows["entity"].cast(pl.String).alias(ENTITY).to_frame().hstack(list(columns))


def _moments(rows: pl.DataFrame, name: str) -> pl.Series:
    return rows[f"{name}_us"].cast(pl.Datetime("us")).alias(name)
