"""Lint of rulesets: finds faults, doubts and parts without effect, without data."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fivefold.domain.errors import ConfigError, Finding, InvalidRulesetError
from fivefold.domain.text import perhaps
from fivefold.risk.compiler.analysis import Analysed, AnalysedRuleset
from fivefold.risk.compiler.checks import outcomes_with_paths
from fivefold.risk.compiler.diagnostics import Diagnostic, Severity, by_check, checked_findings, warning
from fivefold.risk.compiler.formulas import calculations_in_order
from fivefold.risk.compiler.locations import Location, lists_named, tests_at
from fivefold.risk.compiler.purposes import Sources, purpose_diagnostics
from fivefold.risk.compiler.value_types import column_of, inputs_of_rule
from fivefold.risk.facts.groups.values import inputs_of_linked
from fivefold.risk.facts.inputs import part_of
from fivefold.risk.facts.look_back import look_back
from fivefold.risk.facts.peers import other_peers, read_reference
from fivefold.risk.facts.portfolio import NamedList
from fivefold.risk.governance.disclosure import disclosure_diagnostics
from fivefold.risk.governance.examples.facts import check_examples
from fivefold.risk.governance.lint.doubts import doubt_diagnostics
from fivefold.risk.governance.lint.in_order import Effort
from fivefold.risk.governance.lint.levels import level_diagnostics
from fivefold.risk.governance.lint.reachability import LintScope, order_diagnostics, rest_diagnostics
from fivefold.risk.governance.lint.texts import text_diagnostics
from fivefold.risk.governance.what_if.changeable import compared_with_each_other, linked_inputs, opposed_inputs
from fivefold.risk.language.documents import Document, Path
from fivefold.risk.language.expressions import (
    CalculationInput,
    Count,
    Distinct,
    FieldInput,
    Largest,
    Linked,
    New,
    Ratio,
    Sum,
    Window,
    input_key,
    input_of_test,
    inputs_compared,
    tests_in,
)
from fivefold.risk.language.peers import peers_of
from fivefold.risk.language.purposes import PolicyPurposes, Purpose
from fivefold.risk.language.quantities import Duration
from fivefold.risk.language.reading import read_document
from fivefold.risk.language.ruleset import GivenExample, Outcome, Rule, Ruleset, WeightedScore

_ZERO_FOR_NONE = (Count, Sum, Distinct, New, Largest)
"""Aggregates that are 0 if a field is absent, as facts whose `where` is unknown do not count."""


def optional_field_diagnostics(analysed: AnalysedRuleset) -> Iterator[Diagnostic]:
    """Find optional fields that no rule reads, and rules that treat their absence as none."""
    ruleset = analysed.ruleset
    if not ruleset.optional_transaction_fields:
        return
    every_read = {name for each in analysed.simple_inputs for name in _fields_read(each)}
    for number, name in enumerate(ruleset.optional_transaction_fields):
        if name in ruleset.transaction_fields and name not in every_read:
            yield warning(("optional_transaction_fields", number), f"names {name}, which no rule reads")
    optional = set(ruleset.optional_transaction_fields)
    for position, rule in enumerate(ruleset.rules):
        inputs = list(inputs_of_rule(rule))
        zeros = [each for each in inputs if isinstance(each, _ZERO_FOR_NONE) and _fields_read(each) & optional]
        if zeros and not any(_is_unknown_without(each, optional) for each in inputs):
            names = ", ".join(sorted(set().union(*map(_fields_read, zeros)) & optional))
            problem = (
                f"takes transactions of which {names} is unknown for none: where the column is absent the rule "
                "says no, and not that it is unknown. Let a case read a share or a ratio of those that say it"
            )
            yield warning(("rules", position), problem)


def _fields_read(rule_input: Any) -> set[str]:
    """Name the fields of transactions that an aggregate reads."""
    if isinstance(rule_input, Ratio):
        return set().union(*map(_fields_read, rule_input.ratio))
    if not isinstance(rule_input, Window) or part_of(rule_input) != "transactions":
        return set()
    tests = list(tests_in(rule_input.where))
    read = [*map(input_of_test, tests), *(other for test in tests for _, other in inputs_compared(test))]
    own = column_of(rule_input)
    return {each.field for each in read if isinstance(each, FieldInput)} | ({own} if own else set())


def _is_unknown_without(rule_input: Any, optional: set[str]) -> bool:
    """Check whether an input is unknown if no transaction has an optional field that it reads."""
    if isinstance(rule_input, Ratio):
        return bool(_fields_read(rule_input.ratio[1]) & optional)
    return bool(_fields_read(rule_input) & optional) and not isinstance(rule_input, _ZERO_FOR_NONE)


HALF_LIVES = 2
"""Fewest half-lives in a decaying rule's window: points should fade before they vanish."""


def style_diagnostics(analysed: AnalysedRuleset) -> Iterator[Diagnostic]:
    """Find missing reasons and examples, and parts without effect."""
    ruleset = analysed.ruleset
    if ruleset.rationale is None:
        yield warning(("ruleset",), "has no written rationale")
    if not ruleset.examples:
        yield warning(("ruleset",), "has no examples, so nobody sees what it comes to")
    tables = {part_of(each) for each in (*analysed.simple_inputs, *inputs_of_linked(analysed.simple_inputs))}
    for number, table in enumerate(ruleset.optional_tables):
        if table not in tables:
            yield warning(("optional_tables", number), f"names {table}, which no rule reads")
    for position, rule in enumerate(ruleset.rules):
        path: Path = ("rules", position)
        if rule.rationale is None:
            yield warning(path, "has no written rationale")
        yield from _effects(path, rule)
        yield from _decay(path, rule)
    yield from _changeable(analysed)
    yield from unused_links(analysed)
    yield from disclosure_diagnostics(analysed)
    if isinstance(ruleset.score, WeightedScore):
        yield from _columns(ruleset.score)


def _effects(path: Path, rule: Rule) -> Iterator[Diagnostic]:
    outcomes = [outcome for _, outcome in outcomes_with_paths(rule)]
    if not any(outcome.points or outcome.floor is not None for outcome in outcomes):
        yield warning(path, "gives neither points nor a floor in any case")
    if rule.otherwise.floor is not None:
        problem = "raises everyone for whom no case holds"
        yield warning((*path, "otherwise", "floor"), problem if rule.on_unknown else f"{problem}, or it is unknown")
    if rule.overridable and not any(outcome.floor is not None for outcome in outcomes):
        yield warning((*path, "overridable"), "says that its floor may be overridden, but it has none")


def _decay(path: Path, rule: Rule) -> Iterator[Diagnostic]:
    if rule.decay is None:
        return
    if not any(case.points for case in rule.cases):
        yield warning((*path, "decay"), "has no effect: no case gives points")
    least_days = HALF_LIVES * rule.decay.half_life.days
    windows = (((*path, "input"), rule.input), ((*path, "decay", "signal"), rule.decay.signal))
    for at, rule_input in windows:
        over = _window(rule_input)
        if over is not None and over.days < least_days:
            problem = (
                f"looks back {over}, less than two half-lives of {rule.decay.half_life}: points would vanish, not fade"
            )
            yield warning((*at, "over"), problem)


def _changeable(analysed: AnalysedRuleset) -> Iterator[Diagnostic]:
    """Find `changeable` declarations without effect: a what-if never tries them."""
    rules = [(number, rule) for number, rule in enumerate(analysed.ruleset.rules) if rule.changeable is not None]
    if not rules:
        return
    linked, opposed, tried = linked_inputs(analysed), opposed_inputs(analysed), _inputs_tried(analysed)
    compared = {input_key(each) for place in analysed.conditions for each in compared_with_each_other(place)}
    for number, rule in rules:
        path: Path = ("rules", number, "changeable")
        key = "" if rule.input is None else input_key(rule.input)
        if key in linked and not analysed.diagnostics:  # otherwise a wrong name may be all that links them
            why = "another input is computed from this one, or this one from others"
            why = "it is compared with another input, and neither is changed alone" if key in compared else why
            yield warning(path, f"has no effect: {why}")
        elif key in opposed - linked:
            yield warning(path, "has no effect: of the same input one rule says up and another down")
        elif key and key not in linked | tried:
            yield warning(path, "has no effect: no condition compares the input")


def _inputs_tried(analysed: AnalysedRuleset) -> frozenset[str]:
    """Return the keys of inputs that a condition compares, or from whose latest fact a rule's points fade."""
    tested = [input_of_test(test) or place.own for place in analysed.conditions for _, test in tests_at(place)]
    fading = [rule.decay.signal or rule.input for rule in analysed.ruleset.rules if rule.decay is not None]
    return frozenset(input_key(each) for each in (*tested, *fading) if each is not None)


def unused_links(analysed: Analysed[Any]) -> Iterator[Diagnostic]:
    """Find types of links that are declared but followed by no rule."""
    used = {each.linked.by for each in analysed.simple_inputs if isinstance(each, Linked)}
    for name in analysed.definition.links:
        if name not in used:
            yield warning(("links", name), "is followed by no rule")


def _window(rule_input: Any) -> Duration | None:
    over = getattr(rule_input, "over", None) or getattr(rule_input, "active", None)
    return over if isinstance(over, Duration) else None


def _columns(score: WeightedScore) -> Iterator[Diagnostic]:
    weighted, path = score.weighted, ("score", "weighted")
    used = {choice.use for choice in weighted.weights_by}
    for column in weighted.weights:
        if column not in used:
            yield warning((*path, "weights", column), "is never used: no choice of weights_by names it")
    for number, choice in enumerate(weighted.weights_by[:-1]):
        if choice.when is None:
            problem = "has no condition, so the choices after it are never reached"
            yield warning((*path, "weights_by", number), problem)
    if all(choice.when is not None for choice in weighted.weights_by):
        problem = "has no choice without a condition: an entity for which none holds fails, visibly"
        yield Diagnostic((*path, "weights_by"), problem, Severity.NOTE)


Lists = Mapping[str, NamedList]


def lint_text(
    text: str, lists: Lists | None = None, *, declared: PolicyPurposes | None = None
) -> tuple[AnalysedRuleset | None, list[Finding]]:
    """Read a ruleset and find all its faults and doubts; the ruleset is None if it cannot be read.

    Without *lists*, what depends on them is reported as undecided.
    *declared* has the purposes of the entity type's data, besides those in the ruleset.
    """
    analysed, checked = lint_text_by_check(text, lists, declared=declared)
    return analysed, [finding for _, finding in checked]


def lint_text_by_check(
    text: str, lists: Lists | None, *, declared: PolicyPurposes | None
) -> tuple[AnalysedRuleset | None, list[tuple[Diagnostic, Finding]]]:
    """Lint as `lint_text` does, each finding beside its diagnostic, which has the check and severity."""
    try:
        document = Document(text)
    except InvalidRulesetError as error:
        return None, unread(error)
    return lint_document(document, lists, declared=declared)


def lint_document(
    document: Document, lists: Lists | None, *, notes: bool = False, declared: PolicyPurposes | None = None
) -> tuple[AnalysedRuleset | None, list[tuple[Diagnostic, Finding]]]:
    """Lint a parsed document as `lint_text_by_check` lints a text."""
    try:
        analysed = AnalysedRuleset(read_document(Ruleset, document, "the ruleset"))
    except InvalidRulesetError as error:
        return None, unread(error)
    diagnostics = ruleset_diagnostics(analysed, lists, notes=notes, declared=declared)
    return analysed, checked_findings(diagnostics, analysed.ruleset, document)


def unread(error: InvalidRulesetError | ConfigError) -> list[tuple[Diagnostic, Finding]]:
    """Return the faults of a text that cannot be read, or of a missing file, each beside its diagnostic."""
    problems = error.findings if isinstance(error, InvalidRulesetError) else (Finding("the file", str(error)),)
    return [(Diagnostic((), each.problem, check="language"), each) for each in problems]


def ruleset_diagnostics(
    analysed: AnalysedRuleset, lists: Lists | None, *, notes: bool, declared: PolicyPurposes | None = None
) -> list[Diagnostic]:
    """Find all faults and doubts of an analysed ruleset; *notes* include what could not be decided."""
    ruleset, fatal = analysed.ruleset, analysed.draft_diagnostics
    members = {name: named_list.versions[-1].members for name, named_list in (lists or {}).items()}
    faults_by_check: dict[str, Iterable[Diagnostic]] = {
        "names-and-types": fatal,
        "purposes": purpose_diagnostics(ruleset, purpose_sources(lists, declared)),
        "lists": list_diagnostics(analysed, lists),
        "reasons": (*style_diagnostics(analysed), *unused_calculations(analysed)),
        "doubts": (
            *doubt_diagnostics(ruleset, members),
            *optional_field_diagnostics(analysed),
            *text_diagnostics(ruleset),
        ),
        "examples": example_diagnostics(ruleset.examples, check_examples(ruleset)),
        "levels": () if analysed.structural_diagnostics else level_diagnostics(ruleset),
        "history": history_diagnostics(analysed),
        "reach": _reach_diagnostics(analysed, lint_scope(analysed, lists), [fault.path for fault in fatal]),
    }
    return by_check(faults_by_check, notes=notes)


def purpose_sources(
    lists: Lists | None, declared: PolicyPurposes | None = None, groups: Mapping[str, Purpose] | None = None
) -> Sources:
    """Return the purposes declared outside a document, by lists and types; a list that declares none is `aml`."""
    purposes = None if lists is None else {name: each.purpose or "aml" for name, each in lists.items()}
    return Sources(lists=purposes, declared=declared, groups=groups)


def history_diagnostics(analysed: AnalysedRuleset) -> Iterator[Diagnostic]:
    """Note the inputs for which the cost of each event depends on the stored facts, not on the changed ones.

    It is not a doubt: a value over all time cannot be written otherwise.
    """
    everything = () if analysed.diagnostics else look_back(analysed).everything
    if everything:
        problem = f"reads every transaction of an entity at each event, for {', '.join(everything)}"
        yield Diagnostic(("ruleset",), problem, Severity.NOTE)


def unused_calculations(analysed: Analysed[Any]) -> Iterator[Diagnostic]:
    """Find calculations that no condition reads, directly or through another one."""
    calculations = analysed.names.calculations
    inputs = [each if peers is None else peers.of for each in analysed.inputs for peers in [peers_of(each)]]
    read = [each.calculation for each in inputs if isinstance(each, CalculationInput)]
    used = calculations_in_order(read, calculations)
    for name in calculations:
        if name not in used:
            yield warning(("calculate", name), "is never used: no rule reads it, and no calculation that a rule reads")


def example_diagnostics(examples: Sequence[GivenExample], problems: Iterable[Finding]) -> Iterator[Diagnostic]:
    """Make the diagnostics, with paths, of problems for which examples cannot be run as written."""
    names = [f"example {example.name}" for example in examples]
    for finding in problems:
        number = next(number for number, name in enumerate(names) if f"{finding.where}, ".startswith(f"{name}, "))
        part = finding.where.removeprefix(names[number])[2:]
        path: Path = ("examples", number, "given", part) if part else ("examples", number)
        yield Diagnostic(path, finding.problem)


def lint_scope(analysed: Analysed[Any], lists: Lists | None) -> LintScope:
    """Return the names and lists that conditions may use.

    A missing list has one member, a word that no other list has.
    """
    there = lists or {}
    members = {name: there[name].versions[-1].members if name in there else (f"@{name}",) for name in analysed.lists}
    return LintScope(analysed.names, members, all(name in there for name in analysed.lists), Effort())


def list_diagnostics(analysed: Analysed[Any], lists: Lists | None) -> Iterator[Diagnostic]:
    """Find conditions that name a missing list; without lists, all that name one."""
    places = (*analysed.conditions, *analysed.wheres)
    for path, name in ((path, name) for place in places for path, name in lists_named(place)):
        if lists is None:
            yield Diagnostic(path, f"names the list {name}, but no lists were given", Severity.WARNING)
        elif name not in lists:
            yield Diagnostic(
                path,
                f"names the list {name}, which is missing; there are {', '.join(sorted(lists)) or 'none'}"
                f"{perhaps(name, lists)}",
            )
    yield from _reference_diagnostics(analysed, lists)


def _reference_diagnostics(analysed: Analysed[Any], lists: Lists | None) -> Iterator[Diagnostic]:
    """Find a reference portfolio that is missing, invalid, for others, incomplete, or not read at all."""
    name = analysed.definition.reference
    if name is None:
        return
    if not analysed.peer_inputs:
        yield warning(("reference",), f"names the reference portfolio {name}, and nothing places anything among peers")
    elif lists is None:
        yield warning(("reference",), f"names the reference portfolio {name}, but no lists were given")
    elif name not in lists:
        problem = f"names the reference portfolio {name}, which is missing{perhaps(name, lists)}; examples do without"
        missing = f"{problem}, nobody is assessed without. fivefold rules reference makes one"
        yield Diagnostic(("reference",), missing, Severity.NOTE)
    else:
        members = lists[name].versions[-1].members
        reference = read_reference(members)
        if reference is None:
            yield Diagnostic(("reference",), f"names the list {name}, which is not a reference portfolio")
            return
        if wrong := other_peers(members, analysed.definition):
            yield Diagnostic(("reference",), f"names the reference portfolio {name}, and {wrong}: name another list")
        for path, each in analysed.inputs_with_paths:
            peers = peers_of(each)
            if peers is not None and not reference.has(peers):
                yield warning(path, f"is not in the reference portfolio {name}, so it is unknown: make a new version")


def _reach_diagnostics(analysed: AnalysedRuleset, scope: LintScope, wrong: Sequence[Path]) -> Iterator[Diagnostic]:
    """Find what is never reached, except in parts that are *wrong*."""
    beginnings = {path[:2] for path in wrong}

    def right(place: Location) -> bool:
        if place.path[0] == "rules":
            return place.path[:2] not in beginnings
        return not any(path[: len(place.path)] == place.path for path in wrong)

    ruleset, places = analysed.ruleset, list(filter(right, analysed.conditions))
    for position, rule in enumerate(ruleset.rules):
        path: Path = ("rules", position)
        cases = [place for place in places if place.path[:2] == path]
        if not cases:
            continue
        yield from order_diagnostics(cases, scope, "case")
        rests = ["on_unknown"] if rule.on_unknown is not None else []
        if rule.otherwise != Outcome() and not isinstance(ruleset.score, WeightedScore):
            rests.append("otherwise")
        yield from rest_diagnostics(cases, rests, path, scope)
    for place in places:
        if place.path == ("applies_to",):
            yield from _never([place], scope, "so the ruleset applies to nobody")
    yield from order_diagnostics([place for place in places if "weights_by" in place.path], scope, "choice")
    for place in analysed.wheres:
        if right(place):
            yield from _never([place], scope, "so no fact is ever counted")


def _never(places: Sequence[Location], scope: LintScope, so: str) -> Iterator[Diagnostic]:
    for fault in order_diagnostics(places, scope, "condition"):
        is_sure = fault.severity is Severity.WARNING
        yield Diagnostic(places[0].path, f"{fault.problem}, {so}" if is_sure else fault.problem, fault.severity)
