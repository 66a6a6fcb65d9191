"""Peers of rulesets: each ruleset has peers of its own, in a list of its own."""

from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, ConflictError
from fivefold.risk.compiler.analysis import AnalysedRuleset, analyse_canonical
from fivefold.risk.facts.peers import BuiltFor, other_peers, read_built_for
from fivefold.store.accounts.lists import list_row_at
from fivefold.store.rulesets.rulesets import all_active_versions
from fivefold.store.tables.rulesets import RulesetVersion


def readers_of_peers(session: Session, organisation_id: int, name: str) -> list[AnalysedRuleset]:
    """List the rulesets that decide and read peers from a list."""
    active = (analyse_canonical(version.canonical) for _, version in all_active_versions(session, organisation_id))
    return [ruleset for ruleset in active if name in ruleset.references]


def refuse_list_of_another(session: Session, organisation_id: int, name: str, built_for: BuiltFor) -> None:
    """Raise ConfigError if a list has the peers of another ruleset, or another active ruleset reads its peers there."""
    newest = list_row_at(session, organisation_id, name)
    there = None if newest is None else read_built_for(newest.members)
    readers = readers_of_peers(session, organisation_id, name)
    read_by = [("is read by", BuiltFor.of(each.ruleset)) for each in readers]
    for words, other in (("has the peers of", there), *read_by):
        if other not in {None, built_for}:
            raise ConfigError(
                f"the list {name} {words} {other}; it cannot have those of {built_for}, too. Name another list as the "
                "reference of one of them, in a new version"
            )


def refuse_peers_of_another(session: Session, version: RulesetVersion) -> None:
    """Raise ConflictError if a version of a ruleset reads peers from a list that has the peers of another ruleset.

    Or if the list has no version yet: no entity could be assessed, and the ruleset of its peers is unknown.
    """
    analysed = analyse_canonical(version.canonical)
    for name in analysed.references:
        row = list_row_at(session, version.organisation_id, name)
        if row is None:
            raise ConflictError(
                f"{analysed.definition.name} reads peers, and its reference portfolio {name} has no version yet: "
                "import the entities, and request one"
            )
        wrong = other_peers(row.members, analysed.definition)
        if wrong is not None:
            raise ConflictError(
                f"{analysed.definition.name} reads peers from the list {name}, and {wrong}: name another list as its "
                "reference, in a new version"
            )
