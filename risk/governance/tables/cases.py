"""The cases of one rule, as a table gives them, checked within the ruleset that is to contain them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from fivefold.domain.errors import ConfigError, Finding, InvalidRulesetError
from fivefold.domain.text import perhaps
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.governance.tables.columns import ON_UNKNOWN, OTHERWISE
from fivefold.risk.language.documents import Path
from fivefold.risk.language.messages import problem_of
from fivefold.risk.language.reading import WRITTEN
from fivefold.risk.language.ruleset import Rule, Ruleset

Where = Callable[[Path], str]
"""Names the cell of a path that begins at the rule, such as ("cases", 3, "when", "all", 1, "at_least")."""


@dataclass(frozen=True)
class RuleCases:
    """What a table states about a rule, as plain data in the form of a ruleset's file.

    Attributes:
        cases: in the order in which they are tried.
        otherwise: the outcome if none holds; None for none.
        on_unknown: the outcome if none holds and one was unknown; None if the table does not state it.
    """

    cases: tuple[Mapping[str, Any], ...]
    otherwise: Mapping[str, Any] | None = None
    on_unknown: Mapping[str, Any] | None = None


def position_of(ruleset: Ruleset, identifier: str) -> int:
    """Find the position of a rule, from 0; raise ConfigError if no rule has that id."""
    names = [rule.id for rule in ruleset.rules]
    if identifier not in names:
        raise ConfigError(
            f"{ruleset.name} has no rule {identifier}{perhaps(identifier, names)}; there are {', '.join(names)}"
        )
    return names.index(identifier)


@dataclass(frozen=True)
class Doubted:
    """What the reader of a table has already found, so that the rest is checked without it.

    Attributes:
        findings: each with its cell.
        parts: the parts that cannot be checked: cases, by their position from 0, `otherwise` or `on_unknown`.
    """

    findings: Sequence[Finding] = ()
    parts: frozenset[str | int] = frozenset()


def with_cases(
    ruleset: Ruleset, position: int, cases: RuleCases, source: str, where: Where, doubted: Doubted | None = None
) -> Ruleset:
    """Return a ruleset in which one rule has other cases.

    The form is checked before what names and values mean. Faulty parts are left out and the rest is checked again, so
    that a person sees all faults at once.

    Raises:
        InvalidRulesetError: the table does not fit the ruleset; every fault names its cell.
    """
    return fitted(lambda sound: _tried(ruleset, position, sound), cases, source, where, doubted)


Whole = TypeVar("Whole")


def fitted(
    tried: Callable[[RuleCases], tuple[Whole | None, list[tuple[Path, str]]]],
    cases: RuleCases,
    source: str,
    where: Where,
    doubted: Doubted | None,
) -> Whole:
    """Put the rows of a table into a document; *tried* returns the document, or the faults of the rows by their paths.

    Raises InvalidRulesetError if they do not fit; every fault names its cell.
    """
    doubted = doubted or Doubted()
    findings, out = list(doubted.findings), set(doubted.parts)
    while True:
        places = [place for place in range(len(cases.cases)) if place not in out]
        if not places and findings:
            break
        rest = {word: None if word in out else getattr(cases, word) for word in (OTHERWISE, ON_UNKNOWN)}
        sound = RuleCases(tuple(cases.cases[place] for place in places), **rest)
        whole, faults = tried(sound)
        if whole is not None and not findings:
            return whole
        named = [(_as_made(path, places), problem) for path, problem in faults]
        # Faulty parts are already left out; that they are missing now is not another fault.
        parts = {part for part in (_part(path) for path, _ in named) if part is not None and part not in out}
        # With parts left out, a fault of the whole rule may have no other cause.
        findings += [Finding(where(path), problem) for path, problem in named if not out or _part(path) in parts]
        if not parts:
            break
        out |= parts
    raise InvalidRulesetError(list(dict.fromkeys(findings)), source)


def _as_made(path: Path, places: Sequence[int]) -> Path:
    """Return the path of a fault, with the number that its case had before others were left out."""
    if path[:1] == ("cases",) and len(path) > 1 and isinstance(path[1], int):
        return ("cases", places[path[1]], *path[2:])
    return path


def _part(path: Path) -> str | int | None:
    """Return the part that a path leads into: a case, otherwise or on_unknown; None for the whole rule."""
    if path[:1] == ("cases",) and len(path) > 1 and isinstance(path[1], int):
        return path[1]
    return str(path[0]) if path and path[0] in {OTHERWISE, ON_UNKNOWN} else None


def _tried(ruleset: Ruleset, position: int, cases: RuleCases) -> tuple[Ruleset | None, list[tuple[Path, str]]]:
    """Put cases into a rule; return the ruleset, or the faults of the cases by path within the rule."""
    rule = ruleset.rules[position]
    rule_data = rule.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    data = {word: value for word, value in rule_data.items() if word not in {"cases", OTHERWISE, ON_UNKNOWN}}
    data["cases"] = list(cases.cases)
    data |= {} if cases.otherwise is None else {OTHERWISE: cases.otherwise}
    data |= {} if cases.on_unknown is None else {ON_UNKNOWN: cases.on_unknown}
    try:
        changed = Rule.model_validate(data, by_alias=True, by_name=False, context=WRITTEN)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        return None, [
            (fault["loc"], problem_of(fault, list(ruleset.fields), list(ruleset.calculate)))
            for fault in faults
            if len(faults) == 1 or fault["type"] != "too_short"  # faulty cases are named themselves
        ]
    rules = (*ruleset.rules[:position], changed, *ruleset.rules[position + 1 :])
    whole = ruleset.model_copy(update={"rules": rules})
    problems = [
        (fault.path[2:], fault.problem)
        for fault in AnalysedRuleset(whole).draft_diagnostics
        if fault.path[:2] == ("rules", position)
    ]
    return (None if problems else whole), problems
