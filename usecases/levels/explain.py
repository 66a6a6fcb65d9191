"""What an investigator sees of an assessment: what held, and nothing else of the ruleset.

Each rule that gave something is shown with its title and rationale, the title of the case that held, the values that
this case read, the points and the floor. Other cases, thresholds, conditions and drafts are never shown: a person who
knows a threshold can help customers to stay below it.

Names are put in when a breakdown is read, as they are known then; what is stored does not change.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from sqlalchemy.orm import Session

from fivefold.risk.compiler.analysis import Analysed, AnalysedRuleset, analyse_canonical
from fivefold.risk.compiler.value_types import Vocabulary, column_for, currency_of, inputs_of_rule, vocabulary
from fivefold.risk.engine.assessments import Status
from fivefold.risk.engine.explain.describe import formula_of, input_words, value_words
from fivefold.risk.engine.explain.formulas import ratio_words
from fivefold.risk.engine.explain.groups import group_words, path_words
from fivefold.risk.engine.explain.peers import peer_words
from fivefold.risk.engine.explain.reasons import currency_words, lacking_words, why_unknown
from fivefold.risk.engine.explain.rules import signed
from fivefold.risk.facts.inputs import Needs
from fivefold.risk.facts.look_back import look_back_of
from fivefold.risk.facts.portfolio import lacking_of, path_of
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import (
    Linked,
    Ratio,
    Window,
    input_key,
    input_of_test,
    inputs_compared,
    tests_in,
)
from fivefold.risk.language.operators import Operators
from fivefold.risk.language.peers import peers_of
from fivefold.risk.language.ruleset import Case, Rule, Ruleset
from fivefold.store.ingest.entities import names_and_attributes
from fivefold.store.portfolio.words import is_name
from fivefold.store.tables.levels import Assessment
from fivefold.store.tables.rulesets import RulesetVersion
from fivefold.usecases.levels.content.breakdowns import breakdown_of, inputs_of
from fivefold.usecases.levels.read import find_assessment
from fivefold.usecases.shared.context import Context

NOT_APPLICABLE: Final = "No ruleset applies"
"""Replaces the engine's words, which speak of one ruleset where several were tried."""


@dataclass(frozen=True)
class ValueSeen:
    """What a case looked at; the formula, with its numbers, of what is calculated or a ratio."""

    name: str
    value: str
    formula: str | None = None


@dataclass(frozen=True, kw_only=True)
class FiredRule:
    """A rule that gave something; `case` is the title of the case that held.

    Attributes:
        title: the title of the rule.
        rationale: why the rule exists; None where the ruleset does not say.
        case: the title of the case that held; None for a case without a title, and where none held.
        values: the values that this case read; empty once they were erased.
        points: the exact points, as text.
        floor: the name of the level below which the entity does not fall; None for no floor.
        unknown: whether the rule gave this because its input was not known.
    """

    title: str
    rationale: str | None
    case: str | None
    values: tuple[ValueSeen, ...]
    points: str
    floor: str | None
    unknown: bool = False


@dataclass(frozen=True)
class TransactionHits:
    """The transactions that the rules that gave something read.

    Attributes:
        patterns: the rules that read a pattern.
        opens_us: the moment up to which no rule reads transactions; None where they read all of them.
    """

    patterns: tuple[FiredRule, ...]
    opens_us: int | None


@dataclass(frozen=True)
class Reasons:
    """What held; a ruleset's other cases, thresholds and conditions are not shown.

    Attributes:
        line: the arithmetic in one line.
        score: the total of the points, as it is shown.
        rules: the rules that gave something, in the ruleset's order.
    """

    line: str
    score: str
    rules: tuple[FiredRule, ...]


def read_transaction_hits(context: Context, assessment: str) -> TransactionHits:
    """Return which transactions were read by the rules of an assessment that gave something.

    No rules once the breakdown was erased. NotFoundError if the organisation has no such assessment.
    """
    with context.reading() as session:
        row = find_assessment(session, context.actor, assessment)
        breakdown = None if row.version_id is None else breakdown_of(session, row)
        if breakdown is None:
            return TransactionHits((), row.as_of_us)
        analysed = analyse_canonical(session.get_one(RulesetVersion, row.version_id).canonical)
        fired = fired_rules(breakdown, analysed.ruleset, named_inputs(session, row, analysed))
        rules = [analysed.ruleset.rule(name) for name in fired]
        read = Needs([each for rule in rules for each in inputs_of_rule(rule)], (), analysed.names)
        return TransactionHits(
            tuple(hit for hit, rule in zip(fired.values(), rules, strict=True) if _looks_at_pattern(rule)),
            look_back_of(read).opens_us(row.as_of_us),
        )


def _looks_at_pattern(rule: Rule) -> bool:
    tested_inputs = [input_of_test(test) for case in rule.cases for test in tests_in(case.when)]
    return any(hasattr(each, "pattern") for each in (rule.input, *tested_inputs))


def read_reasons(context: Context, assessment: str) -> Reasons | None:
    """Return the reasons of an assessment, such as 12.3; None where they were erased.

    NotFoundError where the organisation has no such assessment.
    """
    with context.reading() as session:
        row = find_assessment(session, context.actor, assessment)
        breakdown = breakdown_of(session, row)
        if breakdown is None:
            return None
        if row.version_id is None:
            return Reasons(shown_line(breakdown["status"], breakdown["line"]), "", ())
        analysed = analyse_canonical(session.get_one(RulesetVersion, row.version_id).canonical)
        return investigator_view(breakdown, analysed.ruleset, named_inputs(session, row, analysed))


def named_inputs(session: Session, row: Assessment, analysed: AnalysedRuleset) -> dict[str, Any] | None:
    """Return the recorded inputs of an assessment, with names for linked entities; None if they were erased."""
    recorded_inputs = inputs_of(session, row)
    return None if recorded_inputs is None else inputs_with_names(session, recorded_inputs, analysed)


def inputs_with_names(
    session: Session, recorded_inputs: Mapping[str, Any], analysed: AnalysedRuleset
) -> dict[str, Any]:
    """Return recorded inputs with names in place of the numbers of linked entities."""
    return {**recorded_inputs, "inputs": with_names(session, analysed, recorded_inputs["inputs"])}


def investigator_view(breakdown: Mapping[str, Any], ruleset: Ruleset, inputs: Mapping[str, Any] | None) -> Reasons:
    """Reduce a breakdown to what held.

    Args:
        breakdown: as `risk.engine.explain.breakdown.as_json_text` writes it.
        ruleset: the ruleset of the assessment.
        inputs: the inputs by their keys, and what was kept with them; None once they were erased.
    """
    rules = tuple(fired_rules(breakdown, ruleset, inputs).values())
    return Reasons(shown_line(breakdown["status"], breakdown["line"]), breakdown["score"], rules)


def fired_rules(
    breakdown: Mapping[str, Any], ruleset: Ruleset, inputs: Mapping[str, Any] | None
) -> dict[str, FiredRule]:
    """Return the rules that gave something, by id, in the ruleset's order; parameters as in `investigator_view`."""
    return {outcome["rule"]: _fired(outcome, ruleset, inputs) for outcome in outcomes_shown(breakdown)}


def outcomes_shown(breakdown: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the outcomes of the rules that gave something, as in the breakdown."""
    return [
        outcome
        for outcome in breakdown["rules"]
        if gave_something(outcome["case"], Decimal(outcome["points"]), outcome["floor"])
    ]


def gave_something(case: int | str, points: Decimal, floor: str) -> bool:
    """Check whether a rule's case held, or it gave points or a floor; investigators see only such rules."""
    return isinstance(case, int) or bool(points or floor)


def fired_rows(breakdown: Mapping[str, Any]) -> list[list[str]]:
    """Return each rule of a stored breakdown that gave something, as texts: title, case, what it saw, points, floor."""
    return [
        [each["title"], str(each["case"]), each["seen"], signed(Decimal(each["points"])), each["floor"]]
        for each in breakdown.get("rules", [])
        if gave_something(each["case"], Decimal(each["points"]), each["floor"])
    ]


def shown_line(status: str, line: str) -> str:
    """Return the line of a breakdown; where no ruleset applies, a line that says so, with the override's level.

    >>> shown_line("not applicable", "The ruleset does not apply, so it gives no level")
    'No ruleset applies, so there is no level'
    >>> shown_line("not applicable", "The ruleset does not apply, so it gives no level; High by an override")
    'No ruleset applies; High by an override'
    """
    if status != Status.NOT_APPLICABLE:
        return line
    _, _, by_override = line.partition("; ")
    return f"{NOT_APPLICABLE}; {by_override}" if by_override else f"{NOT_APPLICABLE}, so there is no level"


def _fired(outcome: Mapping[str, Any], ruleset: Ruleset, inputs: Mapping[str, Any] | None) -> FiredRule:
    rule = ruleset.rule(outcome["rule"])
    case = _case_of(outcome, rule)
    return FiredRule(
        title=rule.title,
        rationale=rule.rationale,
        case=None if case is None else case.title,
        values=() if inputs is None else tuple(_values(rule, case, ruleset, inputs)),
        points=outcome["points"],
        floor=outcome["floor"] or None,
        unknown=outcome["case"] == "unknown",
    )


def _case_of(outcome: Mapping[str, Any], rule: Rule) -> Case | None:
    return rule.cases[outcome["case"] - 1] if isinstance(outcome["case"], int) else None


def _values(rule: Rule, case: Case | None, ruleset: Ruleset, inputs: Mapping[str, Any]) -> Iterator[ValueSeen]:
    for key, (input_, cuts) in _looked_at(rule, case).items():
        if key in inputs["inputs"]:
            yield visible_value(input_, inputs["inputs"], vocabulary(ruleset), inputs["base"], cuts)


def inputs_shown(outcome: Mapping[str, Any], ruleset: Ruleset, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs behind the values of a rule that gave something, by key, in the order of the values."""
    rule = ruleset.rule(outcome["rule"])
    looked = _looked_at(rule, _case_of(outcome, rule))
    return {key: input_ for key, (input_, _) in looked.items() if key in inputs["inputs"]}


def numbers_seen(outcomes: Iterable[Mapping[str, Any]], ruleset: Ruleset) -> dict[str, list[Decimal]]:
    """Return the inputs that the rules that gave something read, by key, with the numbers they were compared with.

    Args:
        outcomes: the outcomes of these rules, from `outcomes_shown`.
        ruleset: the ruleset of the assessment.
    """
    numbers_by_key: dict[str, list[Decimal]] = {}
    for outcome in outcomes:
        rule = ruleset.rule(outcome["rule"])
        for key, (_, numbers) in _looked_at(rule, _case_of(outcome, rule)).items():
            numbers_by_key.setdefault(key, []).extend(numbers)
    return numbers_by_key


def _looked_at(rule: Rule, case: Case | None) -> dict[str, tuple[Any, list[Decimal]]]:
    """Return the inputs that the case that held read, or the rule's own where none held, with the numbers compared."""
    looked: dict[str, tuple[Any, list[Decimal]]] = {}
    if case is None and rule.input is not None:
        looked[input_key(rule.input)] = (rule.input, [])
    for test in tests_in(case.when) if case is not None else ():
        input_ = input_of_test(test) or rule.input
        if input_ is not None:
            looked.setdefault(input_key(input_), (input_, []))[1].extend(_numbers(test))
        for _, other in inputs_compared(test):
            looked.setdefault(input_key(other), (other, []))
    return looked


def _numbers(test: Operators) -> Iterator[Decimal]:
    for _, value in test.comparisons():
        yield from (one for one in (value if isinstance(value, tuple) else (value,)) if isinstance(one, Decimal))


def visible_value(
    input_: Any, inputs: Mapping[str, Any], names: Vocabulary, base: str, cuts: Sequence[Decimal]
) -> ValueSeen:
    """Describe an input and its value, and no condition on it.

    Args:
        input_: the input.
        inputs: the values of all inputs by their keys, as they were kept.
        names: the declared fields.
        base: the currency of money where the input names none.
        cuts: the numbers that the value was compared with: it is not rounded across any of them.
    """
    value = inputs[input_key(input_)]
    formula = formula_of(input_, names, base, input_named)
    cuts = (*cuts, *(() if formula is None else formula.own_cuts(inputs)))
    shown = value_words(value, column_for(input_, names, base), currency_of(input_, names) or base, cuts)
    if isinstance(input_, Linked):
        shown = f"{shown}, {path_words(inputs[path_of(input_key(input_))], input_.linked.by)}"
    if hasattr(input_, "counterparty"):
        shown += lacking_words(inputs.get(lacking_of(input_key(input_))), input_.counterparty)
    elif value is None:
        shown += currency_words(inputs.get(lacking_of(input_key(input_))), base) or why_unknown(input_)
    words = shown if formula is None else formula.words(inputs, shown)
    return ValueSeen(input_named(input_), shown, None if words == shown else words)


def input_named(input_: Any) -> str:
    """Name an input in plain words, without the conditions in it."""
    if isinstance(input_, Ratio):
        return ratio_words(input_, input_named)
    if isinstance(input_, Linked):
        return group_words(input_.linked, input_named, lambda _: "what the rule asks holds")
    if peers_of(input_) is not None:
        return peer_words(input_, input_named)
    if isinstance(input_, Window) and input_.where is not None:
        return f"{input_words(input_.model_copy(update={'where': None}))}, of what the rule counts"
    return input_words(input_)


_NAMING = frozenset({"who", "counted", "not", "met"})
_WHOLE_NAMES = ("name", "full_name")
_PARTS_OF_NAME = ("first_name", "last_name")


def with_names(session: Session, analysed: Analysed[Any], inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Replace the numbers of linked entities by names; an entity that was erased since keeps its number.

    Roles that may read the reasons of a level may read the entities of its type too, so names reveal nothing new.

    Args:
        session: to read with.
        analysed: the ruleset, or the policy, that read the inputs.
        inputs: the values of all inputs by their keys, with the entities behind them, as they were kept.
    """
    paths = {key: path for key, _, path in _paths(Needs.of(analysed).everything(), inputs)}
    return {**inputs, **dict(zip(paths, _named_paths(session, [*paths.values()]), strict=True))}


def names_in_words(
    session: Session, reads: Iterable[tuple[Iterable[LanguageModel], Mapping[str, Any]]]
) -> dict[str, str]:
    """Return the words in which stored texts name the entities behind a value, and the same words with names.

    They are for `renamed`, and for the same roles as `with_names`.

    Args:
        session: to read with.
        reads: everything that a ruleset, a policy or a flow reads, with the values of these inputs by their keys.
    """
    paths = [(by, path) for everything, inputs in reads for _, by, path in _paths(everything, inputs)]
    named = _named_paths(session, [path for _, path in paths])
    return {path_words(path, by): path_words(with_name, by) for (by, path), with_name in zip(paths, named, strict=True)}


def renamed(data: Any, names: Mapping[str, str]) -> Any:
    """Replace words in all texts of plain data, the longest first.

    >>> renamed({"seen": ["through owns: 12", "through owns: 1"]}, {"through owns: 1": "A", "through owns: 12": "B"})
    {'seen': ['B', 'A']}
    """
    if not names:
        return data
    words = re.compile("|".join(map(re.escape, sorted(names, key=len, reverse=True))))

    def within(part: Any) -> Any:
        if isinstance(part, str):
            return words.sub(lambda match: names[match[0]], part)
        if isinstance(part, Mapping):
            return {key: within(each) for key, each in part.items()}
        return [within(each) for each in part] if isinstance(part, list | tuple) else part

    return within(data)


def _paths(everything: Iterable[LanguageModel], inputs: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield for each group with a value its key, the type of its links, and the entities behind the value."""
    for each in everything:
        if isinstance(each, Linked) and inputs.get(key := path_of(input_key(each))):
            yield key, each.linked.by, inputs[key]


def _named_paths(session: Session, paths: Sequence[str]) -> list[str]:
    """Replace the numbers of entities by names, with one statement."""
    contents = [json.loads(path) for path in paths]
    numbers = {one for path in contents for part in _NAMING for one in path.get(part, ())}
    entities = names_and_attributes(session, sorted(int(one) for one in numbers if one.isdecimal())) if numbers else {}
    names = {str(number): _called(*of) for number, of in entities.items()}
    for path in contents:
        for part in path.keys() & _NAMING:
            path[part] = [names.get(one, one) for one in path[part]]
    return [json.dumps(path) for path in contents]


def _called(external_id: str, fields: Mapping[str, Any], attributes: Mapping[str, Any]) -> str:
    """Return the name of an entity with its identifier, or the identifier alone.

    >>> _called("c17", {"full_name": "text"}, {"full_name": "Anna Berg"}), _called("c17", {"size": "number"}, {})
    ('Anna Berg (c17)', 'c17')
    >>> _called("c17", {"first_name": "text", "last_name": "text"}, {"first_name": "Anna", "last_name": "Berg"})
    'Anna Berg (c17)'
    """
    texts = {
        name: value.strip()
        for name, value in sorted(attributes.items())
        if fields.get(name) == "text" and is_name(name) and isinstance(value, str) and value.strip()
    }
    whole = next((texts[name] for name in _WHOLE_NAMES if name in texts), "")
    parts = " ".join(texts[name] for name in _PARTS_OF_NAME if name in texts)
    name = whole or parts or next(iter(texts.values()), "")
    return f"{name} ({external_id})" if name else external_id
