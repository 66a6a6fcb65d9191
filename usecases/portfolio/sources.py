"""The source of each value in the reasons of an assessment, and its age at that time.

Everything is read as known at the moment of the assessment: facts that were added, changed or ended since are ignored.
If the stored facts do not show which value the assessment read, such as after an erasure, the source has no moment.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import polars as pl
from sqlalchemy.orm import Session

from fivefold.risk.compiler.analysis import analyse_canonical
from fivefold.risk.compiler.formulas import simple_parts
from fivefold.risk.compiler.value_types import Vocabulary, inputs_of_group, linked_source, vocabulary
from fivefold.risk.facts.reading import read_field
from fivefold.risk.language.expressions import (
    DaysSince,
    FieldInput,
    Linked,
    ScreeningInput,
    TagInput,
    ValueInput,
    Window,
    input_key,
)
from fivefold.risk.language.fields import FieldType
from fivefold.risk.language.ruleset import Ruleset
from fivefold.store.levels.sources import MOST_VERSIONS, Fact, FactRow, FactSelection, facts_known, writers_of
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.levels import Assessment
from fivefold.store.tables.rulesets import RulesetVersion
from fivefold.usecases.levels.content.breakdowns import breakdown_of, inputs_of
from fivefold.usecases.levels.explain import input_named, inputs_shown, outcomes_shown
from fivefold.usecases.levels.read import find_assessment
from fivefold.usecases.shared.api_fields import Moment, shown_as
from fivefold.usecases.shared.context import Context

Kind = Literal["attribute", "tag", "screening", "transactions", "cases", "alerts", "value", "links"]
State = Literal["stored", "none", "not known", "not stored"]

_FACTS: Final[Mapping[str, Fact]] = {
    "attribute": Fact.ATTRIBUTES,
    "tag": Fact.TAG,
    "screening": Fact.SCREENING,
    "transactions": Fact.TRANSACTION,
    "cases": Fact.CASE,
    "alerts": Fact.ALERT,
    "value": Fact.VALUE,
}


@dataclass(frozen=True, kw_only=True)
class ValueSource:
    """The source of a value.

    `kind` is attribute, tag, screening, transactions, cases, alerts, value or links. `state` is stored; none, if there
    was no such tag, transaction, case or alert; not known, if the assessment did not know the value; or not stored, if
    the stored facts do not show since when it holds. A value over those linked is from the links, and from what was
    read of those linked: since when that holds is not stored.

    Attributes:
        about: the name of the attribute, the tag or the screening, or the type of the links; empty for other kinds, and
            for conditions on linked entities.
        through: the type of the links, for facts of linked entities; None for facts of the entity itself.
        at_us: since when the attribute had the value, or the tag was set; when the screening was made, the latest
            transaction was or the latest case was opened; the moment of the value. None unless it is stored.
        by: who set the attribute or the tag; None if that is not stored.
        model: the model of a value, with its version.
    """

    kind: Kind
    about: str
    state: State
    through: str | None = None
    at_us: Annotated[Moment | None, shown_as("at")] = None
    by: str | None = None
    model: str | None = None
    model_version: int | None = None


@dataclass(frozen=True)
class SourcesOfValue:
    """The sources of a value in the reasons; a ratio, or a calculation, may have several."""

    name: str
    sources: tuple[ValueSource, ...]


@dataclass(frozen=True)
class SourcesOfRule:
    """A rule that fired: its category, and the sources of its values, in the order of the reasons."""

    title: str
    category: str
    values: tuple[SourcesOfValue, ...]


@dataclass(frozen=True, kw_only=True)
class AssessmentSources:
    """The sources of an assessment's values, as known at its moment.

    Attributes:
        rules: the rules that fired, in the order of the reasons.
    """

    as_of_us: Annotated[Moment, shown_as("as_of")]
    rules: tuple[SourcesOfRule, ...]


def sources_of(context: Context, assessment: str) -> AssessmentSources | None:
    """Return the sources of the values in the reasons of an assessment; None if the reasons were erased.

    They are in the order of `explain.read_reasons`, rule by rule and value by value. NotFoundError if the organisation
    has no such assessment.
    """
    with context.reading() as session:
        row = find_assessment(session, context.actor, assessment)
        breakdown = breakdown_of(session, row)
        if breakdown is None:
            return None
        if row.version_id is None:
            return AssessmentSources(as_of_us=row.as_of_us, rules=())
        analysed = analyse_canonical(session.get_one(RulesetVersion, row.version_id).canonical)
        ruleset, names = analysed.ruleset, analysed.names
        inputs = inputs_of(session, row)
        outcomes = outcomes_shown(breakdown)
        behind = [{} if inputs is None else inputs_shown(outcome, ruleset, inputs) for outcome in outcomes]
        sources = {} if inputs is None else _sources_by_side(session, row, ruleset, inputs["inputs"], behind)
        rules = tuple(
            SourcesOfRule(
                title=outcome["title"],
                category=outcome["category"],
                values=tuple(_of_value(input_, names, sources) for input_ in of_rule.values()),
            )
            for outcome, of_rule in zip(outcomes, behind, strict=True)
        )
        return AssessmentSources(as_of_us=row.as_of_us, rules=rules)


def _of_value(input_: Any, names: Vocabulary, by_side: Mapping[str, Sequence[ValueSource]]) -> SourcesOfValue:
    sources = dict.fromkeys(source for side in simple_parts(input_, names) for source in by_side[input_key(side)])
    return SourcesOfValue(input_named(input_), tuple(sources))


def _source_kind(input_: Any) -> tuple[Kind, str]:
    """Return the kind and the name of an input's source, without the values that the rule counts or compares with."""
    if isinstance(input_, Window) and linked_source(input_) in _LINKED:
        return _LINKED[linked_source(input_)], ""  # no single tag or screening is named
    source: tuple[Kind, str] = "transactions", ""  # patterns and indicators
    match input_:
        case FieldInput(field=name) | DaysSince(days_since=name):
            source = "attribute", name
        case TagInput(tag=name):
            source = "tag", name
        case ScreeningInput(screening=name):
            source = "screening", name
        case ValueInput():
            source = "value", ""
        case Linked(linked=group):
            source = "links", group.by
    return source


_LINKED: Final[Mapping[str, Kind]] = {
    "transactions": "transactions",
    "cases": "cases",
    "alerts": "alerts",
    "tags": "tag",
    "screenings": "screening",
}


def _sources_by_side(
    session: Session,
    row: Assessment,
    ruleset: Ruleset,
    inputs: Mapping[str, Any],
    behind: Sequence[Mapping[str, Any]],
) -> dict[str, Sequence[ValueSource]]:
    """Return the sources of all shown inputs, by the keys of their simple parts, with two statements at most."""
    names = vocabulary(ruleset)
    sides = {
        input_key(side): (side, inputs.get(input_key(side), inputs[key]))
        for of_rule in behind
        for key, input_ in of_rule.items()
        for side in simple_parts(input_, names)
    }
    own = [side for side, value in sides.values() if value is not None and not isinstance(side, Linked)]
    kinds = [_source_kind(side) for side in own]
    words = {kind: frozenset(about for each, about in kinds if each == kind) for kind in ("tag", "screening")}
    selection = FactSelection(frozenset(_FACTS[kind] for kind, _ in kinds), words["tag"], words["screening"])
    facts = facts_known(session, row.entity_id, row.as_of_us, selection)
    stored_facts = _StoredFacts(facts, ruleset.fields, row.as_of_us, session.get_one(Entity, row.entity_id).noted_us)
    since = {
        key: version
        for key, (side, value) in sides.items()
        if value is not None and (version := stored_facts.version_since(side, value)) is not None
    }
    numbers = {version.number for version in since.values() if version.number is not None}
    writers = writers_of(session, row.organisation_id, row.entity_id, numbers)
    sources: dict[str, Sequence[ValueSource]] = {}
    for key, (side, value) in sides.items():
        kind, about = _source_kind(side)
        if isinstance(side, Linked):
            sources[key] = _of_linked(side, names, "not known" if value is None else "not stored")
        elif value is None:
            sources[key] = [ValueSource(kind=kind, about=about, state="not known")]
        elif kind == "attribute":
            sources[key] = [_attribute(about, since.get(key), writers)]
        else:
            sources[key] = [stored_facts.source(kind, about, side, value)]
    return sources


def _of_linked(linked: Linked, names: Vocabulary, state: State) -> list[ValueSource]:
    """Return the links, and the facts of linked entities, without moments: a breakdown names only the first entities.

    Facts that a condition reads show only their kind, as conditions stay hidden.
    """
    group = linked.linked
    of_links = ValueSource(kind="links", about=group.by, state=state)
    read: dict[ValueSource, None] = {}
    for each in inputs_of_group(group):
        for kind, about in map(_source_kind, simple_parts(each, names)):
            shown = about if each is group.part else ""
            read[ValueSource(kind=kind, about=shown, state=state, through=group.by)] = None
    return [of_links, *read]


def _attribute(name: str, version: FactRow | None, writers: Mapping[int, str]) -> ValueSource:
    if version is None or version.number is None:
        return ValueSource(kind="attribute", about=name, state="not stored")
    by = writers.get(version.number)
    return ValueSource(kind="attribute", about=name, state="stored", at_us=version.at_us, by=by)


class _StoredFacts:
    """The facts that were known at an assessment."""

    def __init__(
        self, facts: Sequence[FactRow], fields: Mapping[str, FieldType], as_of_us: int, noted_us: int | None
    ) -> None:
        self._facts = facts
        self._fields = fields
        self._as_of_us = as_of_us
        self._noted_us = noted_us
        versions = sorted(self._of(Fact.ATTRIBUTES), key=lambda row: -(row.number or 0))
        self._versions = [(row, json.loads(row.content or "{}")) for row in versions]

    def _of(self, *kinds: Fact) -> list[FactRow]:
        return [row for row in self._facts if row.kind in kinds]

    def version_since(self, side: Any, value: Any) -> FactRow | None:
        """Find the version from which on an attribute had the value that the assessment read.

        None if no attribute was read, or the attribute that was stored then has another value, or the first version is
        older than those that were read.
        """
        kind, name = _source_kind(side)
        if kind != "attribute" or not self._versions:
            return None
        stored_value = self._versions[0][1].get(name)
        if stored_value is None or (
            isinstance(side, FieldInput) and not _is_read_as(stored_value, self._fields[name], value)
        ):
            return None
        first = None
        for row, content in self._versions:
            if content.get(name) != stored_value or type(content.get(name)) is not type(stored_value):
                return first
            first = row
        # Older versions are not read: the attribute may have had the value before.
        return first if len(self._versions) < MOST_VERSIONS else None

    def source(self, kind: Kind, about: str, side: Any, value: Any) -> ValueSource:
        """Return the source of a value that is not an attribute."""
        row: FactRow | None = None
        if kind == "tag" and not value:
            return ValueSource(kind=kind, about=about, state="none")
        if kind == "tag":
            row = self._tag(about)
        elif kind == "screening":
            content = "1" if value else "0"
            row = next((one for one in self._of(Fact.SCREENING) if (one.about, one.content) == (about, content)), None)
        elif kind == "value":
            row = next(iter(self._of(Fact.VALUE)), None)
            if row is not None and not _is_of_value(side, value, row):
                row = None
            if row is not None:
                model = {"model": row.content, "model_version": row.number}
                return ValueSource(kind=kind, about=about, state="stored", at_us=row.at_us, **model)  # type: ignore[arg-type]  # as named
        else:
            return self._linked(kind, value)
        if row is None:
            return ValueSource(kind=kind, about=about, state="not stored")
        return ValueSource(kind=kind, about=about, state="stored", at_us=row.at_us, by=row.by)

    def _tag(self, tag: str) -> FactRow | None:
        """Find the row with which the tag was first set; a tag whose end was changed continues in another row."""
        rows = sorted((row for row in self._of(Fact.TAG) if row.about == tag), key=lambda row: row.number or 0)
        row_in_force = next((row for row in rows if row.until_us is None or row.until_us > self._as_of_us), None)
        for before in reversed(rows):
            if (
                row_in_force is not None
                and before.until_us == row_in_force.at_us
                and (before.number or 0) < (row_in_force.number or 0)
            ):
                row_in_force = before
        return row_in_force

    def _linked(self, kind: Kind, value: Any) -> ValueSource:
        """Return the source of a value over transactions, cases or alerts: the latest one that counted for the entity.

        The state is `not stored` if the facts may have differed then: cases, alerts and ownerships have no moment of
        arrival, and one arrived since.
        """
        if kind == "transactions":
            rows = self._of(Fact.TRANSACTION, Fact.CORRECTED)
            doubtful = any(row.at_us for row in self._of(Fact.OWNED)) and self._came_since(self._noted_us)
        else:
            rows = self._of(_FACTS[kind])
            doubtful = any(map(self._came_since, (self._noted_us, *(row.until_us for row in rows))))
        latest = max((row.at_us for row in rows if row.at_us is not None), default=None)
        if doubtful or (latest is None and value not in (0, False)):
            return ValueSource(kind=kind, about="", state="not stored")
        return ValueSource(kind=kind, about="", state="none" if latest is None else "stored", at_us=latest)

    def _came_since(self, moment_us: int | None) -> bool:
        return moment_us is not None and moment_us > self._as_of_us


def _is_read_as(raw_value: Any, declared: FieldType, value: Any) -> bool:
    """Return whether a stored attribute, parsed as in assessments, is the value that the assessment read."""
    try:
        column = pl.Series("value", [raw_value], dtype=pl.List(pl.String) if isinstance(raw_value, list) else None)
    except (TypeError, OverflowError, pl.exceptions.PolarsError):
        return False
    return bool(read_field(column, declared)[0].to_list()[0] == value)


def _is_of_value(side: Any, value: Any, row: FactRow) -> bool:
    """Return whether a stored value can be the value that was read: a row without a segment means no value."""
    return row.about == value if side.value == "segment" else row.about is not None
