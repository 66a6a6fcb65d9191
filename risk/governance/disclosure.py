"""The parts of a ruleset that the person concerned may see: no rule that would tip them off, nor a trace of it."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fivefold.risk.compiler.analysis import AnalysedRuleset, lists_in
from fivefold.risk.compiler.diagnostics import Diagnostic, warning
from fivefold.risk.compiler.value_types import column_of, inputs_of, inputs_of_rule, linked_source
from fivefold.risk.facts.inputs import direct_parts_of, everything_in
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import FieldInput, Linked, ScreeningInput, TagInput, Window, input_key
from fivefold.risk.language.peers import peers_of
from fivefold.risk.language.quantities import MONTHS_OF, parse_duration
from fivefold.risk.language.ruleset import Rule, WeightedScore

_FINDINGS = "what others found (a tag, a screening, a case, an alert or a pattern)"


def is_disclosable(rule: Rule, analysed: AnalysedRuleset) -> bool:
    """Check whether a statement may show a rule.

    Inputs and lists in `undisclosed`, and data of other people, always exclude it; what others found does if the rule
    has no `disclosable`.
    """
    inputs = list(_everything(inputs_of_rule(rule), analysed).values())
    if rule.disclosable is False or _reads_others(inputs) or _reads_undisclosed(_whens(rule), inputs, analysed):
        return False
    return rule.disclosable is True or not any(map(_is_finding, inputs))


def is_whole(analysed: AnalysedRuleset) -> bool:
    """Check whether everything that decides may be shown, so that totals and levels reveal nothing.

    It is a property of the ruleset, never of the person: omissions must not depend on what was found.
    """
    ruleset = analysed.ruleset
    choices = ruleset.score.weighted.weights_by if isinstance(ruleset.score, WeightedScore) else ()
    predicates = [ruleset.applies_to, *(choice.when for choice in choices)]
    conditions = [condition for condition in predicates if condition is not None]
    inputs = list(_everything((each for one in conditions for each in inputs_of(one)), analysed).values())
    hidden = any(map(_is_finding, inputs)) or _reads_undisclosed(conditions, inputs, analysed)
    return not hidden and all(is_disclosable(rule, analysed) for rule in ruleset.rules)


def _everything(inputs: Iterable[LanguageModel], analysed: AnalysedRuleset) -> Mapping[str, LanguageModel]:
    """Return by key inputs, those that they are computed from, and those that aggregates among them name."""
    return everything_in(inputs, lambda each: (*direct_parts_of(each, analysed.names), *_named_by(each)))


def _named_by(rule_input: Any) -> Iterator[LanguageModel]:
    """Yield the fields that an aggregate names, among them the date that it counts from, and the inputs of its `where`.

    For a pattern, yield the fields of transactions that it names.
    """
    if hasattr(rule_input, "pattern"):
        words = (getattr(rule_input, word, None) for word in ("counterparty", "transaction_field"))
        yield from (FieldInput(field=name) for name in words if name is not None)
    if not isinstance(rule_input, Window):
        return
    source, column = linked_source(rule_input), column_of(rule_input)
    yield from (FieldInput(field=name) for name in (source, column) if name is not None)
    if rule_input.where is not None:
        yield from inputs_of(rule_input.where)


def _reads_others(inputs: list[LanguageModel]) -> bool:
    """Check whether inputs read data of other people, which no statement shows, even if a rule is `disclosable`."""
    return any(isinstance(each, Linked) for each in inputs)


def _is_finding(rule_input: Any) -> bool:
    if isinstance(rule_input, TagInput | ScreeningInput | Linked) or hasattr(rule_input, "pattern"):
        return True
    return isinstance(rule_input, Window) and linked_source(rule_input) in {"cases", "alerts", "tags", "screenings"}


def _reads_undisclosed(conditions: Iterable[Any], inputs: list[LanguageModel], analysed: AnalysedRuleset) -> bool:
    """Check whether conditions read something in `undisclosed`; *inputs* are their inputs, with all parts of these."""
    undisclosed = analysed.ruleset.undisclosed
    windows = [each for each in inputs if isinstance(each, Window)]
    counted = tuple(_COUNTED[source] for source in map(linked_source, windows) if source in _COUNTED)
    wheres = [each.where for each in windows if each.where is not None]
    lists = {name for condition in (*conditions, *wheres) for name in lists_in(condition)}
    if any(peers_of(each) is not None for each in inputs):
        lists |= analysed.references
    hidden = set(map(_key_by_length, undisclosed.inputs))
    is_read = any(_key_by_length(each) in hidden for each in inputs) or not lists.isdisjoint(undisclosed.lists)
    return is_read or any(isinstance(each, counted) for each in undisclosed.inputs)


def _key_by_length(rule_input: LanguageModel) -> str:
    """Return the key of an input with durations of equal length written alike, as in 720 hours and 30 days."""
    return json.dumps(_by_length(json.loads(input_key(rule_input))))


def _by_length(part: Any) -> Any:
    """Write every duration in a part of an input in hours or months."""
    if isinstance(part, dict):
        return {name: _by_length(value) for name, value in part.items()}
    if isinstance(part, list):
        return [_by_length(value) for value in part]
    if not isinstance(part, str):
        return part
    try:
        length = parse_duration(part.removesuffix(" ago"))
    except ValueError:
        return part
    months = MONTHS_OF.get(length.unit)
    text = length.offset if months is None else f"{length.count * months} months"
    return f"{text} ago" if part.endswith(" ago") else text


_COUNTED: Mapping[str, type[LanguageModel]] = {"tags": TagInput, "screenings": ScreeningInput}
"""The inputs that an aggregate reveals by its source alone, even if its `where` does not name them, by source."""


def _whens(rule: Rule) -> list[Any]:
    return [case.when for case in rule.cases]


def disclosure_diagnostics(analysed: AnalysedRuleset) -> Iterator[Diagnostic]:
    """Find what is declared undisclosed but read by no rule, and rules that disclose what they probably should not."""
    ruleset = analysed.ruleset
    if analysed.diagnostics:
        return  # the parts of inputs are not certain
    read = set(map(_key_by_length, _everything(analysed.inputs, analysed).values()))
    for number, each in enumerate(ruleset.undisclosed.inputs):
        if _key_by_length(each) not in read:
            yield warning(("undisclosed", "inputs", number), "names an input that no rule reads")
    for number, name in enumerate(ruleset.undisclosed.lists):
        if name not in analysed.lists:
            yield warning(("undisclosed", "lists", number), f"names the list {name}, which no rule reads")
    for position, rule in enumerate(ruleset.rules):
        inputs = list(_everything(inputs_of_rule(rule), analysed).values())
        path = ("rules", position, "disclosable")
        if rule.disclosable and _reads_undisclosed(_whens(rule), inputs, analysed):
            yield warning(path, "has no effect: it reads what undisclosed names")
        elif rule.disclosable and _reads_others(inputs):
            yield warning(path, "has no effect: it reads data of other people, which no statement shows")
        elif rule.disclosable and any(map(_is_finding, inputs)):
            yield warning(path, f"shows the person concerned {_FINDINGS}: see that this tips nobody off")
