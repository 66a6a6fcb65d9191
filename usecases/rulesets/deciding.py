"""The versions that decide on the entities of each type, and those before and after a change."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from sqlalchemy.orm import Session

from fivefold.risk.compiler.analysis import AnalysedRuleset, analyse_canonical
from fivefold.risk.facts.portfolio import NamedList
from fivefold.store.audit.chain import digest_of
from fivefold.store.rulesets.rulesets import all_active_versions, families_of
from fivefold.store.tables.rulesets import Family
from fivefold.usecases.accounts.lists import lists_of


@dataclass(frozen=True)
class ActiveVersion:
    """A version that decides: its family, its id (None for content that is to decide), and its content."""

    family: str
    version_id: int | None
    canonical: str


@dataclass(frozen=True)
class Deciding:
    """The versions that decide on the entities of one type, in the order they are tried, and the lists they read."""

    versions: tuple[ActiveVersion, ...] = ()
    lists: Mapping[str, NamedList] = field(default_factory=dict)

    @property
    def digest(self) -> dict[str, Any]:
        """Return the data by which two instances are compared."""
        lists = {
            name: [[one.since, sorted(one.members)] for one in named_list.versions]
            for name, named_list in self.lists.items()
        }
        return {
            "versions": [[named_list.family, named_list.version_id] for named_list in self.versions],
            "lists": digest_of([lists]),
        }


def deciding(session: Session, organisation_id: int) -> dict[int, Deciding]:
    """Return what decides now, by the number of each type that has an active version."""
    by_type: dict[int, list[ActiveVersion]] = {}
    for type_id, version in all_active_versions(session, organisation_id):
        family = session.get_one(Family, version.family_id).name
        by_type.setdefault(type_id, []).append(ActiveVersion(family, version.id, version.canonical))
    rulesets = {type_id: _analysed(versions) for type_id, versions in by_type.items()}
    lists = lists_of(session, organisation_id, chain.from_iterable(rulesets.values()))
    return {
        type_id: Deciding(tuple(versions), _read_by(rulesets[type_id], lists)) for type_id, versions in by_type.items()
    }


def _analysed(versions: Iterable[ActiveVersion]) -> list[AnalysedRuleset]:
    return [analyse_canonical(version.canonical) for version in versions]


def _read_by(rulesets: Iterable[AnalysedRuleset], lists: Mapping[str, NamedList]) -> dict[str, NamedList]:
    names = {name for ruleset in rulesets for name in ruleset.lists}
    return {name: lists[name] for name in sorted(names) if name in lists}


@dataclass(frozen=True)
class DecidingChange:
    """What decides on a type before and after a change.

    Attributes:
        releases: the id of the version whose raises are released; None if none are.
    """

    before: Deciding
    after: Deciding
    releases: int | None = None

    @property
    def fingerprint(self) -> str:
        """Return what identifies this change to its backtest; it differs once anything else has changed before."""
        return digest_of([{"before": self.before.digest, "after": self.after.digest, "releases": self.releases}])


def reached_by(session: Session, family: Family, canonical: str) -> DecidingChange:
    """Return what decides on the type of a family now, and what would if *canonical* decided in the family."""
    before = deciding(session, family.organisation_id).get(family.type_id, Deciding())
    tried = {version.family: version for version in before.versions} | {
        family.name: ActiveVersion(family.name, None, canonical)
    }
    order = [other.name for other in families_of(session, family.organisation_id, family.type_id)]
    after = tuple(tried[name] for name in order if name in tried)
    rulesets = _analysed(after)
    lists = _read_by(rulesets, lists_of(session, family.organisation_id, rulesets))
    return DecidingChange(before, Deciding(after, lists))
