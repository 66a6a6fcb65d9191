"""Stored references for peers: the content of a version, and whether it fits the rulesets that read it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import ValidationError
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError, NotFoundError
from fivefold.risk.compiler.analysis import AnalysedRuleset, analyse_canonical
from fivefold.risk.compiler.value_types import (
    InputColumn,
    UnknownNameError,
    Vocabulary,
    column_for,
    currency_of,
    vocabulary,
)
from fivefold.risk.engine.explain.describe import input_words, value_words
from fivefold.risk.facts.peers import FEWEST_PEERS, PeerDistribution, Reference, peers_in, read_reference
from fivefold.risk.facts.portfolio import NamedList
from fivefold.risk.language.base import canonical_form
from fivefold.risk.language.fields import CASE_FIELDS, TRANSACTION_FIELDS, ValueType
from fivefold.risk.language.peers import Peers
from fivefold.risk.language.purposes import PURPOSE_PHRASES
from fivefold.store.accounts.lists import begins_like_reference, list_row_at
from fivefold.store.accounts.organisation import base_currency_of
from fivefold.store.rulesets.rulesets import families_of, family_named, family_or_none, newest_version
from fivefold.store.tables.entities import ListVersionRow
from fivefold.store.tables.rulesets import Family, RulesetVersion
from fivefold.usecases.accounts.purposes import refuse_peers_from_aml
from fivefold.usecases.portfolio_files.reference import median_cautions, reference_hash
from fivefold.usecases.rulesets.peers import readers_of_peers, refuse_list_of_another
from fivefold.usecases.shared.api_fields import Moment, shown_as
from fivefold.usecases.shared.context import Context

OLD_DAYS: Final = 365
"""A reference portfolio that is older than this is out of date."""
MOST_NAMED: Final = 10
"""The most misfits that one message names."""


def small_groups(reference: Reference) -> int:
    """Count the groups with too few peers for a statement."""
    return sum(each.count < FEWEST_PEERS for each in reference.distributions.values())


@dataclass(frozen=True, kw_only=True)
class PeerGroupLine:
    """The peers of one group with one number.

    Attributes:
        number: in words, such as sum of amount in 180 days.
        among: the field whose value peers share; everyone for none.
        group: that value; None for everyone.
        unreadable: peers of the group whose number could not be read; a place among the others may be wrong.
        median: of the numbers, as text; of money with its currency.
        is_small: there are too few peers for a statement.
    """

    number: str
    among: str
    group: str | None
    peers: int
    unreadable: int
    median: str
    is_small: bool


@dataclass(frozen=True, kw_only=True)
class ReferenceShown:
    """A version of a reference portfolio.

    Attributes:
        since_us: it is in force from here until the next version.
        as_of_us: the moment of its numbers.
        ruleset: whose peers they are; None in an older version, which does not say it.
        entity_type: of these peers; None as above.
        base_currency: of its money.
        is_old: its numbers are more than a year old.
        groups: of each number, those with the most peers first.
    """

    name: str
    title: str
    source: str
    since_us: Annotated[Moment, shown_as("since")]
    as_of_us: Annotated[Moment, shown_as("as_of")]
    ruleset: str | None
    entity_type: str | None
    base_currency: str
    content_hash: str
    is_old: bool
    groups: tuple[PeerGroupLine, ...]


def read_reference_version(context: Context, name: str, at_us: int | None = None) -> ReferenceShown:
    """Show the version of a reference portfolio in force at a moment; without one, the first future one.

    NotFoundError if there is no such version, or the list is not a reference portfolio.
    """
    now = context.now()
    with context.reading() as session:
        of = context.organisation_id
        row = _row_at(session, of, name, now) if at_us is None else list_row_at(session, of, name, at_us)
        reference = None if row is None else read_reference(tuple(row.members))
        if row is None or reference is None:
            raise NotFoundError(f"there is no reference portfolio {name!r}")
        return ReferenceShown(
            name=name,
            title=row.title,
            source=row.source,
            since_us=row.since_us,
            as_of_us=reference.as_of,
            ruleset=None if reference.built_for is None else reference.built_for.ruleset,
            entity_type=None if reference.built_for is None else reference.built_for.entity_type,
            base_currency=reference.base,
            content_hash=reference_hash(tuple(row.members)),
            is_old=_is_old(reference, now),
            groups=tuple(_group_lines(reference, _vocabularies(session, of, name))),
        )


def peer_groups(context: Context, name: str, members: Sequence[str]) -> tuple[PeerGroupLine, ...]:
    """Describe the groups of a version of a list, which need not be stored; empty for a list of other members."""
    reference = read_reference(tuple(members))
    if reference is None:
        return ()
    with context.reading() as session:
        return tuple(_group_lines(reference, _vocabularies(session, context.organisation_id, name)))


def is_reference(context: Context, name: str) -> bool:
    """Return whether the newest version of a list is a reference portfolio, judging by its beginning."""
    with context.reading() as session:
        return begins_like_reference(session, context.organisation_id, name)


def _row_at(session: Session, organisation_id: int, name: str, now_us: int) -> ListVersionRow | None:
    return list_row_at(session, organisation_id, name, now_us) or list_row_at(session, organisation_id, name)


def _is_old(reference: Reference, now_us: int) -> bool:
    return now_us - reference.as_of > OLD_DAYS * DAY_US


def _vocabularies(session: Session, organisation_id: int, name: str) -> list[Vocabulary]:
    """Collect the names of the rulesets that read peers from a list, followed by those that every ruleset has."""
    readers = [_version_with_peers(session, family) for family in families_of(session, organisation_id)]
    names = [vocabulary(analysed.definition) for _, analysed, read in filter(None, readers) if read == name]
    return [*names, Vocabulary(entity={}, transaction=TRANSACTION_FIELDS, case=CASE_FIELDS)]


def _group_lines(reference: Reference, vocabularies: Sequence[Vocabulary]) -> Iterator[PeerGroupLine]:
    """Describe the groups, of each number those with the most peers first."""
    kinds = list(dict.fromkeys((of, among) for of, among, _ in reference.distributions))
    place = {kind: number for number, kind in enumerate(kinds)}
    in_order = sorted(
        reference.distributions.items(), key=lambda row: (place[row[0][:2]], -row[1].count, row[0][2] or "")
    )
    for (of, among, group), distribution in in_order:
        peers = _peers_of(of, among)
        yield PeerGroupLine(
            number=of if peers is None else input_words(peers.of),
            among=among or "everyone",
            group=group,
            peers=distribution.count,
            unreadable=distribution.unreadable,
            median=_median_words(peers, distribution, reference.base, vocabularies),
            is_small=distribution.count < FEWEST_PEERS,
        )


def _peers_of(of: str, among: str) -> Peers | None:
    """Read a number and how peers are grouped; None if this version of the program does not know its form."""
    try:
        return Peers.model_validate({"of": json.loads(of), "among": {"field": among} if among else "everyone"})
    except ValidationError:
        return None


def _median_words(
    peers: Peers | None, distribution: PeerDistribution, base: str, vocabularies: Sequence[Vocabulary]
) -> str:
    """Write the median of a group: money is stored in minor units, as the rulesets that read it know."""
    median = distribution.median
    column, currency = InputColumn("", ValueType.NUMBER), ""
    for names in vocabularies:
        if peers is None:
            break
        try:
            column, currency = column_for(peers.of, names, base), currency_of(peers.of, names) or base
        except UnknownNameError:
            continue
        break
    is_whole = column.kind is ValueType.MONEY and median.denominator == 1
    return value_words(int(median) if is_whole else float(median), column, currency)


@dataclass(frozen=True, kw_only=True)
class ReferenceState:
    """The state of a ruleset's reference portfolio.

    Attributes:
        list: that has it.
        version: of the ruleset: the active one, or the newest if that one reads none.
        as_of_us: of the version in force; None if there is none.
        is_old: its numbers are more than a year old.
        groups: how many it has, and how many of these have too few peers.
        misfits: why it does not fit: another currency, peers of another ruleset, numbers that the ruleset reads and the
            reference lacks, or whose median says nothing.
    """

    list: str
    version: int
    as_of_us: Annotated[Moment | None, shown_as("as_of")]
    is_old: bool
    groups: int
    small_groups: int
    misfits: tuple[str, ...]


def read_reference_state(context: Context, ruleset: str) -> ReferenceState | None:
    """Return the state of a ruleset's reference portfolio; None if it reads none, or has no version.

    NotFoundError if there is no such ruleset.
    """
    now = context.now()
    with context.reading() as session:
        family = family_named(session, context.organisation_id, ruleset)
        reader = _version_with_peers(session, family)
        if reader is None:
            return None
        row, analysed, name = reader
        reference_row = list_row_at(session, context.organisation_id, name, now)
        reference = None if reference_row is None else read_reference(tuple(reference_row.members))
        base = base_currency_of(session, context.organisation_id)
        misfits = () if reference_row is None else tuple(misfits_of(reference, analysed, base))
        if reference is not None:
            misfits += median_cautions(analysed, reference)
        return ReferenceState(
            list=name,
            version=row.number,
            as_of_us=None if reference is None else reference.as_of,
            is_old=reference is not None and _is_old(reference, now),
            groups=0 if reference is None else len(reference.distributions),
            small_groups=0 if reference is None else small_groups(reference),
            misfits=misfits,
        )


def _version_with_peers(
    session: Session, family: Family, of_list: str | None = None
) -> tuple[RulesetVersion, AnalysedRuleset, str] | None:
    """Find the active version, or else the newest, that reads peers, and the list from which it does.

    With *of_list*, a version that reads them from that list comes before the other.
    """
    active = None if family.active_version_id is None else session.get_one(RulesetVersion, family.active_version_id)
    readers = list[tuple[RulesetVersion, AnalysedRuleset, str]]()
    for row in (active, newest_version(session, family.id)):
        analysed = None if row is None else analyse_canonical(row.canonical)
        if row is not None and analysed is not None and analysed.peer_inputs and analysed.definition.reference:
            readers.append((row, analysed, analysed.definition.reference))
    return next((each for each in readers if each[2] == of_list), readers[0] if readers else None)


def misfits_of(reference: Reference | None, ruleset: AnalysedRuleset, base: str) -> Iterator[str]:
    """Explain why the places of a ruleset among peers would be unknown for everyone; empty if the reference fits.

    Args:
        reference: None for a list that is not a reference.
        ruleset: the ruleset that reads it.
        base: the currency of the organisation.
    """
    if reference is None:
        yield "it is not a reference portfolio"
        return
    if reference.base != base:
        yield f"its money is in {reference.base}, and that of the organisation in {base}"
    if reference.built_for is not None and (other := reference.built_for.misfit(ruleset.definition)):
        yield other
    for peers in _missing_peers(reference, ruleset.peer_inputs):
        among = "everyone" if peers.group is None else input_words(peers.group)
        yield f"it has no numbers of {input_words(peers.of)} among {among}"


def _missing_peers(reference: Reference, inputs: Sequence[Any]) -> list[Peers]:
    read = {canonical_form(peers_in(each)): peers_in(each) for each in inputs}
    return [peers for peers in read.values() if not reference.has(peers)]


def refuse_misfit(session: Session, organisation_id: int, named_list: NamedList) -> None:
    """Raise ConfigError if a list's new version does not fit a deciding ruleset that reads peers from it.

    It is raised too if the list is for the peers of another ruleset than the new version, or for commerce while the
    ruleset of the version is not. ConflictError if data for aml would choose the peers of that ruleset.
    """
    name, base = named_list.name, base_currency_of(session, organisation_id)
    reference = read_reference(named_list.versions[-1].members)
    if reference is not None and reference.built_for is not None:
        refuse_list_of_another(session, organisation_id, name, reference.built_for)
        family = family_or_none(session, organisation_id, reference.built_for.ruleset)
        reader = None if family is None else _version_with_peers(session, family, name)
        if reader is not None and named_list.purpose not in {None, "aml"}:
            if reader[1].definition.purpose == "aml":
                raise ConfigError(
                    f"the version of the list {name} is for {PURPOSE_PHRASES[named_list.purpose]}, and "
                    f"{reference.built_for}, whose peers it has, is for aml: leave out its purpose"
                )
            refuse_peers_from_aml(session, reader[0])
    for ruleset in readers_of_peers(session, organisation_id, name):
        wrong = list(misfits_of(reference, ruleset, base))
        if wrong:
            more = f"; and {len(wrong) - MOST_NAMED} more" if len(wrong) > MOST_NAMED else ""
            raise ConfigError(
                f"the version of the list {name} does not fit the ruleset {ruleset.definition.name}, which decides:"
                f" {'; '.join(wrong[:MOST_NAMED])}{more}. A ruleset that reads other numbers needs a list of its own"
            )
