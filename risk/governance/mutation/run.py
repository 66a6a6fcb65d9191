"""Changes a ruleset by one step at a time, and finds the changes that none of its examples notices.

Coverage shows which cases examples reach; this shows whether their results would differ if a case were changed.
The examples are read once for all changes, and each change is evaluated on all of them together.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Any

import polars as pl

from fivefold.domain.clock import day_text
from fivefold.domain.errors import Finding, InvalidRulesetError
from fivefold.domain.text import json_in_sight
from fivefold.risk.compiler.analysis import Analysed, AnalysedRuleset
from fivefold.risk.compiler.checks import type_diagnostics
from fivefold.risk.engine.assess import resolved_parts, timed_entities
from fivefold.risk.engine.outcomes import assess_inputs
from fivefold.risk.engine.program import Program, compile_ruleset
from fivefold.risk.engine.rules import CompiledRule
from fivefold.risk.facts.inputs import Needs
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, ListVersion, NamedList, error_of
from fivefold.risk.governance.examples.facts import (
    BASE,
    check_examples,
    example_moments,
    example_portfolio,
    previous_levels,
)
from fivefold.risk.governance.examples.run import differing, differing_by_rule, expected_frame
from fivefold.risk.governance.lint.reachability import LintScope
from fivefold.risk.governance.mutation.changes import StepChange, changes_of, plain_data, with_change
from fivefold.risk.governance.mutation.telling_inputs import Telling, telling_inputs
from fivefold.risk.language.documents import Document
from fivefold.risk.language.expressions import distinct
from fivefold.risk.language.reading import read_plain, where_of
from fivefold.risk.language.ruleset import Example, Rule, Ruleset


class MutantVerdict(StrEnum):
    """The verdict on a change: some example noticed it, none did, none ever could, or time was over before."""

    NOTICED = "noticed"
    UNNOTICED = "unnoticed"
    NO_EFFECT = "no effect"
    NOT_TRIED = "not tried"


@dataclass(frozen=True, kw_only=True)
class ChangeTried:
    """A change by one step, and whether examples notice it.

    Attributes:
        where: the place of the change, in words.
        line: its line in the document; None without a document.
        before: the present text there.
        after: the text that replaces it.
        verdict: the verdict on the change.
        noticed_by: an example whose result differs; empty if none does.
        no_effect: why no example can notice it; empty if one may.
        inputs: the inputs of an example that would notice it, in words; empty if none could be derived.
        example: the same as plain data; None if it could not be written so.
    """

    where: str
    line: int | None
    before: str
    after: str
    verdict: MutantVerdict
    noticed_by: str = ""
    no_effect: str = ""
    inputs: str = ""
    example: Mapping[str, Any] | None = None

    @property
    def example_text(self) -> str:
        """The example in a form to be put under `examples`; its name is the difference that it shows."""
        if self.example is None:
            return ""
        named = {"name": f"{self.where}: {self.before}, not {self.after}", **self.example}
        return f"- {json_in_sight(named)}"

    def to_dict(self) -> dict[str, Any]:
        """Convert the result to plain data."""
        return {**asdict(self), "verdict": self.verdict.value}


@dataclass(frozen=True)
class Mutations:
    """Every change by one step that was tried on a ruleset or a flow.

    Attributes:
        name: the name of the document.
        content_hash: the hash of the document.
        changes: the changes, in the order of a ruleset's score, predicate and rules, or of a flow's actions and steps.
        word: the kind of document, `ruleset` or `flow`.
    """

    name: str
    content_hash: str
    changes: tuple[ChangeTried, ...]
    word: str = Ruleset.word

    def of(self, verdict: MutantVerdict) -> tuple[ChangeTried, ...]:
        """Return the changes with a verdict."""
        return tuple(change for change in self.changes if change.verdict is verdict)

    @cached_property
    def counts(self) -> dict[str, int]:
        """The number of changes with each verdict."""
        return {verdict.value: len(self.of(verdict)) for verdict in MutantVerdict}

    @property
    def noticed_percent(self) -> float:
        """The percentage of changes noticed by some example, of those that could be noticed and were tried."""
        noticed, missed = len(self.of(MutantVerdict.NOTICED)), len(self.of(MutantVerdict.UNNOTICED))
        return 100 * noticed / (noticed + missed) if noticed + missed else 100.0

    def to_dict(self) -> dict[str, Any]:
        """Convert the result to plain data: the counts, and every change."""
        return {
            self.word: self.name,
            "content_hash": self.content_hash,
            "counts": self.counts,
            "noticed_percent": round(self.noticed_percent, 1),
            "changes": [change.to_dict() for change in self.changes],
        }


def require_examples(analysed: Analysed[Any]) -> None:
    """Raise InvalidRulesetError if a ruleset or a flow cannot be used, or has no examples."""
    analysed.require_usable()
    if not analysed.definition.examples:
        findings = [Finding("examples", "are missing, so no change can be noticed")]
        raise InvalidRulesetError(findings, analysed.definition.name)


def mutate(
    analysed: AnalysedRuleset,
    lists: Mapping[str, NamedList],
    as_of: int,
    document: Document | None = None,
    *,
    begun: Callable[[int], None] = lambda _: None,
    is_over: Callable[[], bool] = lambda: False,
) -> Mutations:
    """Try every change of a ruleset by one step on its examples.

    Args:
        analysed: the ruleset, with its examples.
        lists: the named lists.
        as_of: the moment of examples that name none (microseconds).
        document: the ruleset's document; without it changes have no lines.
        begun: called with the number of changes, before the first is tried.
        is_over: called before each change; once it returns true, the remaining changes are not tried.

    Raises:
        InvalidRulesetError: the ruleset cannot be used, has no examples, or one of them fails without a change.
    """
    require_examples(analysed)
    ruleset = analysed.ruleset
    wrong = check_examples(ruleset)
    if wrong:
        raise InvalidRulesetError(wrong, f"ruleset {ruleset.name}")
    mutants = list(_mutants(analysed))
    begun(len(mutants))
    trial = _Trial(analysed, lists, as_of, mutants)
    if trial.failing:
        findings = [Finding(f"example {ruleset.examples[at].name}", "fails as the ruleset is") for at in trial.failing]
        raise InvalidRulesetError(findings, f"ruleset {ruleset.name}")
    trials = [(MutantVerdict.NOT_TRIED, "", Telling()) if is_over() else trial.outcome_of(mutant) for mutant in mutants]
    tellings = _proved(analysed, lists, as_of, list(zip(mutants, (telling for *_, telling in trials), strict=True)))
    names = {"rules": [{"id": rule.id} for rule in ruleset.rules]}
    tried = [
        ChangeTried(
            where=where_of(mutant.change.node, names),
            line=None if document is None else document.line(mutant.change.path),
            before=mutant.change.before,
            after=mutant.change.after,
            verdict=verdict,
            noticed_by=noticed_by,
            **vars(telling),
        )
        for mutant, (verdict, noticed_by, _), telling in zip(mutants, trials, tellings, strict=True)
    ]
    return Mutations(ruleset.name, ruleset.content_hash, tuple(tried))


@dataclass(frozen=True)
class _Mutant:
    """A change that leaves a usable ruleset.

    Attributes:
        change: the change by one step.
        analysed: the changed ruleset, without examples.
        rule: the changed rule alone, as a ruleset; None if something else was changed.
        position: the position of that rule.
    """

    change: StepChange
    analysed: AnalysedRuleset
    rule: AnalysedRuleset | None = None
    position: int = -1


def _mutants(analysed: AnalysedRuleset) -> Iterator[_Mutant]:
    """Yield every change; one that leaves the ruleset unusable, or its content unchanged, is left out."""
    bare = analysed.ruleset.model_copy(update={"examples": ()})
    data = plain_data(bare)
    for change in changes_of(bare):
        mutant = _of_rule(bare, data, change) if change.path[0] == "rules" else _of_rest(data, change)
        if mutant is not None and not _is_unusable(mutant):
            yield mutant


def _is_unusable(mutant: _Mutant) -> bool:
    """Check whether a changed ruleset cannot be run; only the changed rule can have wrong types."""
    alone = mutant.rule
    if alone is None:
        return bool(mutant.analysed.diagnostics)
    wrong = type_diagnostics(alone.inputs_with_paths, alone.conditions, alone.names)
    return bool(mutant.analysed.structural_diagnostics) or any(True for _ in wrong)


def _of_rule(bare: Ruleset, data: Mapping[str, Any], change: StepChange) -> _Mutant | None:
    """Read only the changed rule, as the others are unchanged."""
    position = change.path[1]
    assert isinstance(position, int)
    rule = read_plain(Rule, with_change(data["rules"][position], change.node[2:], change.value))
    if rule is None or rule == bare.rules[position]:
        return None
    rules = (*bare.rules[:position], rule, *bare.rules[position + 1 :])
    changed, alone = (AnalysedRuleset(bare.model_copy(update={"rules": them})) for them in (rules, (rule,)))
    return _Mutant(change, changed, alone, position)


def _of_rest(data: Any, change: StepChange) -> _Mutant | None:
    ruleset = read_plain(Ruleset, with_change(data, change.node, change.value))
    return None if ruleset is None else _Mutant(change, AnalysedRuleset(ruleset))


@dataclass(frozen=True)
class _Part:
    """Examples for which the same versions of lists are in force.

    Attributes:
        lists: the members of each list.
        inputs: the inputs of the ruleset and of all its changed forms.
        program: the unchanged ruleset, compiled.
        outcomes: the outcomes of the unchanged ruleset.
    """

    lists: Mapping[str, Sequence[str]]
    inputs: pl.DataFrame
    program: Program
    outcomes: pl.DataFrame


class _Trial:
    """The examples of a ruleset, on which its changed forms are tried."""

    def __init__(
        self, analysed: AnalysedRuleset, lists: Mapping[str, NamedList], as_of: int, mutants: Sequence[_Mutant]
    ) -> None:
        ruleset = analysed.ruleset
        self._as_of = as_of
        self._names = [example.name for example in ruleset.examples]
        self._previous = previous_levels(ruleset)
        every = [analysed, *(mutant.rule or mutant.analysed for mutant in mutants)]
        needs = Needs(
            distinct(each for one in every for each in one.inputs),
            distinct(each for one in every for each in one.signals),
            analysed.names,
        )
        self._portfolio = example_portfolio(analysed, lists, as_of)
        moments = pl.Series("as_of", example_moments(ruleset, as_of), dtype=pl.Int64)
        self._entities = timed_entities(self._portfolio, moments)
        parts = resolved_parts(analysed, needs, self._portfolio, self._entities)
        self._parts = [self._part(analysed, part.versions, part.inputs) for part in parts]
        self._expected = expected_frame(ruleset, self.program.total.scale)
        wrong = [at for part in self._parts for at in differing(part.outcomes, self._expected, part.program)]
        self.failing = sorted(wrong)
        """The positions of the examples that fail on the unchanged ruleset."""

    def _part(self, analysed: AnalysedRuleset, versions: Mapping[str, ListVersion], inputs: pl.DataFrame) -> _Part:
        lists = {name: version.members for name, version in versions.items()}
        program = compile_ruleset(analysed, lists, BASE)
        return _Part(lists, inputs, program, assess_inputs(program, inputs, self._previous))

    @property
    def program(self) -> Program:
        """The unchanged ruleset, compiled."""
        return self._parts[0].program

    def outcome_of(self, mutant: _Mutant) -> tuple[MutantVerdict, str, Telling]:
        """Return the verdict on a change, the example that notices it, and what is known if none does."""
        noticed_by = self.noticed_by(mutant)
        telling = Telling() if noticed_by else self.telling(mutant)
        unnoticed = MutantVerdict.NO_EFFECT if telling.no_effect else MutantVerdict.UNNOTICED
        return MutantVerdict.NOTICED if noticed_by else unnoticed, noticed_by, telling

    def telling(self, mutant: _Mutant) -> Telling:
        """Find inputs that would notice a changed form, or why none can, by any version of the lists."""
        names = mutant.analysed.names
        telling = Telling()
        for part in self._parts:
            scope = LintScope(names, part.lists, all_lists=True)
            telling = telling_inputs(mutant.change, part.program, _changed(part, mutant), scope)
            if not telling.no_effect:
                return self._dated(telling, part)
        return telling

    def _dated(self, telling: Telling, part: _Part) -> Telling:
        """Add to an example a moment at which the lists are those for which it was derived."""
        if telling.example is None or not part.lists or part.inputs[AS_OF].eq(self._as_of).any():
            return telling
        return replace(telling, example={"as_of": day_text(part.inputs[AS_OF][0]), **telling.example})

    def _parts_read_by(self, mutant: _Mutant) -> Sequence[_Part]:
        """Return the examples with a changed form's inputs: a changed calculation keeps its name, with other values."""
        if mutant.change.path[0] != "calculate":
            return self._parts
        needs = Needs.of(mutant.analysed)
        inputs = [part.inputs for part in resolved_parts(mutant.analysed, needs, self._portfolio, self._entities)]
        return [replace(part, inputs=own) for part, own in zip(self._parts, inputs, strict=True)]

    def is_noticed_by(self, mutant: _Mutant, position: int) -> bool:
        """Check whether one example has another result by a changed form."""
        for part in self._parts_read_by(mutant):
            program, row = _changed(part, mutant), part.inputs.filter(pl.col(ENTITY) == str(position))
            if len(row) and differing(assess_inputs(program, row, self._previous), self._expected, program):
                return True
        return False

    def noticed_by(self, mutant: _Mutant) -> str:
        """Name an example that has another result by a changed form; empty if none does."""
        for part in self._parts_read_by(mutant):
            program = _changed(part, mutant)
            if mutant.rule is not None:
                rule = program.rules[mutant.position]
                codes = _codes(part, rule)
                if rule.floors == part.program.rules[mutant.position].floors and codes.equals(
                    part.outcomes[rule.column]
                ):
                    continue
                noticed = differing_by_rule(part.outcomes, self._expected, rule.rule.id, codes, part.program)
                if noticed is not None:
                    return self._names[noticed]
            differ = differing(assess_inputs(program, part.inputs, self._previous), self._expected, program)
            if differ:
                return self._names[min(differ)]
        return ""


def _changed(part: _Part, mutant: _Mutant) -> Program:
    """Compile a changed form: all of it, or only the changed rule, beside the unchanged others."""
    if mutant.rule is None:
        return compile_ruleset(mutant.analysed, part.lists, BASE)
    alone, rules = compile_ruleset(mutant.rule, part.lists, BASE), part.program.rules
    return replace(
        part.program,
        analysed=mutant.analysed,
        inputs={**part.program.inputs, **alone.inputs},
        signals={**part.program.signals, **alone.signals},
        rules=(*rules[: mutant.position], alone.rules[0], *rules[mutant.position + 1 :]),
    )


def _codes(part: _Part, rule: CompiledRule) -> pl.Series:
    """Return the codes of a changed rule for every example."""
    columns = part.inputs.columns
    nulls = frozenset(name for name in rule.reads if name in columns and part.inputs[name].null_count())
    errors = frozenset(name for name in rule.reads if error_of(name) in columns)
    codes = part.inputs.with_columns(rule.code(nulls, errors))
    if rule.signal is not None:
        codes = codes.with_columns(rule.decayed(pl.col(rule.column)).alias(rule.column))
    return codes[rule.column]


def _proved(
    analysed: AnalysedRuleset,
    lists: Mapping[str, NamedList],
    as_of: int,
    derived: Sequence[tuple[_Mutant, Telling]],
) -> list[Telling]:
    """Keep the derived inputs of each change only if they are proved right.

    An example is run on both forms of the ruleset: it must pass on the one and fail on the other. If it does not, its
    words are wrong as well.
    """
    examples = {at: telling.example for at, (_, telling) in enumerate(derived) if telling.example is not None}
    valid_places = _keeping(analysed, lists, as_of, [(at, derived[at][0], example) for at, example in examples.items()])
    return [
        Telling() if at in examples and at not in valid_places else telling for at, (_, telling) in enumerate(derived)
    ]


def _keeping(
    analysed: AnalysedRuleset,
    lists: Mapping[str, NamedList],
    as_of: int,
    derived: Sequence[tuple[int, _Mutant, Mapping[str, Any]]],
) -> set[int]:
    """Return the numbers of the examples that pass on the unchanged ruleset and fail on their change."""
    if not derived:
        return set()
    written = [{"name": f"derived {number}", **_exact(example)} for number, _, example in derived]
    examples = [read_plain(Example, each) for each in written]
    readable = [example for example in examples if example is not None]
    with_them = AnalysedRuleset(analysed.ruleset.model_copy(update={"examples": tuple(readable)}))
    try:
        if len(readable) < len(examples) or check_examples(with_them.ruleset):
            raise InvalidRulesetError([], "what was derived")  # noqa: TRY301 (as reading some of them raises)
        trial = _Trial(with_them, lists, as_of, [mutant for _, mutant, _ in derived])
    except InvalidRulesetError:  # an unreadable one must not hide the others
        half = len(derived) // 2
        halves = (derived[:half], derived[half:]) if half else ()
        return {number for each in halves for number in _keeping(analysed, lists, as_of, each)}
    return {
        number
        for at, (number, mutant, _) in enumerate(derived)
        if at not in trial.failing and trial.is_noticed_by(mutant, at)
    }


def _exact(example: Mapping[str, Any]) -> Any:
    """Convert an example's numbers to exact ones, as written."""
    return json.loads(json.dumps(example), parse_float=Decimal)
