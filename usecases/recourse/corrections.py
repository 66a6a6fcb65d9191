"""Whether a correction made a difference: an assessment is made again with what was read before the correction.

If the records do not tell, since one is erased or has no such input, a correction of a fact that is read counts.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any, Final

from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError
from fivefold.risk.compiler.analysis import AnalysedRuleset, analyse_canonical
from fivefold.risk.compiler.value_types import inputs_of as inputs_of_condition
from fivefold.risk.compiler.value_types import inputs_of_group, linked_source
from fivefold.risk.facts.inputs import direct_parts_of, everything_in, part_of
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import DaysSince, FieldInput, Linked, ScreeningInput, TagInput
from fivefold.store.tables.levels import Assessment
from fivefold.store.tables.rulesets import RulesetVersion
from fivefold.usecases.levels.content.breakdowns import breakdown_text, inputs_of
from fivefold.usecases.levels.replay import made_again

_KINDS: Final[Mapping[str | None, str]] = {
    "transactions": "transaction",
    "indicators": "transaction",
    "values": "transaction",
    "cases": "case",
    "alerts": "alert",
    "tags": "tag",
    "screenings": "screening",
}
"""The kind of the facts that each part of a portfolio is made of."""


def refuse_no_difference(session: Session, before: Assessment, new_row: Assessment, facts: Sequence[str]) -> None:
    """Raise ConflictError if the corrected facts made no difference to an assessment.

    The rules read none of them; or with what these inputs were in the assessment *before* the correction, they come
    to the same cases and points. What time or another fact changed in the same inputs, such as a count of transactions,
    cannot be separated from the correction.
    """
    versions = {each.id: each for each in (_version(session, before), _version(session, new_row)) if each is not None}
    analysed = {number: analyse_canonical(each.canonical) for number, each in versions.items()}
    keys_by_version = {
        number: _keys_reading([*each.inputs, *each.signals], each, facts) for number, each in analysed.items()
    }
    name = f"{before.entity_id}.{new_row.number}"
    otherwise = "settle the challenge as confirmed, or correct what is wrong first"
    is_of_another = len({each.family_id for each in versions.values()}) > 1
    if is_of_another or new_row.version_id is None:
        # Which ruleset decides may itself follow from the facts.
        is_read = not keys_by_version or any(keys_by_version.values())
    else:
        is_read = bool(keys_by_version[new_row.version_id])
    if not is_read:
        raise ConflictError(
            f"the rules read none of {', '.join(facts)}, so their correction made no difference to assessment {name}:"
            f" {otherwise}"
        )
    if new_row.version_id is None:
        return
    is_same = _is_same_with(session, new_row, before, versions[new_row.version_id], keys_by_version[new_row.version_id])
    if is_same and is_of_another and before.version_id is not None:
        # The new ruleset may read none of what the earlier one asked of those it applies to.
        earlier = analysed[before.version_id]
        keys = _keys_reading(inputs_of_condition(earlier.ruleset.applies_to), earlier, facts)
        is_same = _is_same_with(session, before, new_row, versions[before.version_id], keys)
    if is_same:
        raise ConflictError(
            f"assessment {name} comes to the same without the correction of {', '.join(facts)}, so only something else"
            f" made a difference: {otherwise}"
        )


def _version(session: Session, row: Assessment) -> RulesetVersion | None:
    return None if row.version_id is None else session.get_one(RulesetVersion, row.version_id)


def _keys_reading(inputs: Iterable[LanguageModel], analysed: AnalysedRuleset, facts: Sequence[str]) -> frozenset[str]:
    """Give the keys of inputs, and of their parts, that read one of some facts."""
    parts = partial(direct_parts_of, names=analysed.names)
    everything = everything_in(inputs, parts)
    return frozenset(
        key
        for key, each in everything.items()
        if any(_reads(part, fact) for part in everything_in([each], parts).values() for fact in facts)
    )


def _reads(each: LanguageModel, fact: str) -> bool:
    """Tell whether an input without parts reads a fact; what is read of those linked may be of the entity itself too.

    >>> _reads(FieldInput(field="income"), "field income"), _reads(TagInput(tag="vips"), "tag vip")
    (True, False)
    """
    kind, _, name = fact.partition(" ")
    match each:
        case Linked(linked=group):
            return any(_reads(part, fact) for part in chain.from_iterable(map(_simple, inputs_of_group(group))))
        case FieldInput(field=own) | TagInput(tag=own) | ScreeningInput(screening=own):
            return (kind, name.strip()) == (next(iter(type(each).model_fields)), own)
        case DaysSince() if part_of(each) is None:
            return (kind, name.strip()) == ("field", linked_source(each))
    return _KINDS.get(part_of(each)) == kind


def _simple(each: Any) -> Iterator[LanguageModel]:
    """Give both sides of a ratio, or the input itself; of those linked nothing else is read."""
    yield from getattr(each, "ratio", (each,))


def _is_same_with(
    session: Session, row: Assessment, other: Assessment, version: RulesetVersion, keys: frozenset[str]
) -> bool:
    """Make an assessment again with some inputs as they were in another, and tell whether it comes to the same."""
    recorded, of_other = inputs_of(session, row), inputs_of(session, other)
    if recorded is None or of_other is None or other.version_id is None:
        return False
    if _columns_of(of_other, keys) != _columns_of(recorded, keys):  # such as of a value that could not be read
        return False
    values = recorded["inputs"]
    inputs = {name: of_other["inputs"][name] if _is_of(name, keys) else value for name, value in values.items()}
    if inputs == values:
        return True
    again = made_again(session, row, version.content_hash, {**recorded, "inputs": inputs})
    return _outcome(again) == _outcome(breakdown_text(session, row) or "{}")


def _outcome(breakdown: str) -> dict[str, Any]:
    """Give what a breakdown comes to, without the values that it names: a value that moves no case decides nothing."""
    content: dict[str, Any] = json.loads(breakdown)
    rules = [{name: each[name] for name in _OF_RULE} for each in content.get("rules", ())]
    return {**{name: content.get(name) for name in _OF_ALL}, "rules": rules}


_OF_ALL: Final = ("status", "level", "rules_level", "score_level", "total", "floor")
_OF_RULE: Final = ("rule", "case", "points", "factor", "floor")


def _columns_of(recorded_inputs: Mapping[str, Any], keys: frozenset[str]) -> tuple[Any, ...]:
    """Give the columns of some inputs with their types, and the base currency."""
    columns = zip(recorded_inputs["inputs"], recorded_inputs["types"], strict=True)
    return (recorded_inputs["base"], frozenset(each for each in columns if _is_of(each[0], keys)))


def _is_of(column: str, keys: frozenset[str]) -> bool:
    """Tell whether a column is of one of some inputs: its key, and after it a sign for what is kept beside."""
    return column in keys or column[:-1] in keys
