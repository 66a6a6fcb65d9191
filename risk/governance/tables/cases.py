"""The cases of one rule by themselves, as a table gives them, checked in the ruleset in which they are to stand."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from fivefold.domain.errors import ConfigError, Finding, InvalidRulesetError
from fivefold.domain.text import perhaps
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.language.documents import Path
from fivefold.risk.language.messages import problem_of
from fivefold.risk.language.reading import WRITTEN
from fivefold.risk.language.ruleset import Rule, Ruleset

Where = Callable[[Path], str]
"""Names the cell of a path that begins at the rule, such as ("cases", 3, "when", "all", 1, "at_least")."""


@dataclass(frozen=True)
class RuleCases:
    """What a table says of a rule, as plain data in the words of a ruleset's file.

    Attributes:
        cases: in the order in which they are tried.
        otherwise: given where none holds; None for nothing.
        on_unknown: given where none holds and one was unknown; None where nothing is said.
    """

    cases: tuple[Mapping[str, Any], ...]
    otherwise: Mapping[str, Any] | None = None
    on_unknown: Mapping[str, Any] | None = None


def position_of(ruleset: Ruleset, identifier: str) -> int:
    """Find the place of a rule, from 0; ConfigError where there is none of that id."""
    names = [rule.id for rule in ruleset.rules]
    if identifier not in names:
        raise ConfigError(
            f"{ruleset.name} has no rule {identifier}{perhaps(identifier, names)}; there are {', '.join(names)}"
        )
    return names.index(identifier)


def with_cases(ruleset: Ruleset, position: int, made: RuleCases, source: str, where: Where) -> Ruleset:
    """Give a ruleset in which one rule has other cases.

    Raises:
        InvalidRulesetError: what a table says does not fit the ruleset; every fault names its cell.
    """
    rule = ruleset.rules[position]
    said = rule.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    data = {word: value for word, value in said.items() if word not in {"cases", "otherwise", "on_unknown"}}
    data["cases"] = list(made.cases)
    data |= {} if made.otherwise is None else {"otherwise": made.otherwise}
    data |= {} if made.on_unknown is None else {"on_unknown": made.on_unknown}
    try:
        changed = Rule.model_validate(data, by_alias=True, by_name=False, context=WRITTEN)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        findings = [
            Finding(where(fault["loc"]), problem_of(fault, list(ruleset.fields), list(ruleset.calculate)))
            for fault in faults
            if len(faults) == 1 or fault["type"] != "too_short"  # cases that are not right themselves are named
        ]
        raise InvalidRulesetError(list(dict.fromkeys(findings)), source) from None
    rules = (*ruleset.rules[:position], changed, *ruleset.rules[position + 1 :])
    whole = ruleset.model_copy(update={"rules": rules})
    findings = [
        Finding(where(fault.path[2:]), fault.problem)
        for fault in AnalysedRuleset(whole).diagnostics
        if fault.path[:2] == ("rules", position)
    ]
    if findings:
        raise InvalidRulesetError(list(dict.fromkeys(findings)), source)
    return whole
