"""Purposes: what each part of a ruleset or a policy reads, by which path, and whether it may.

Data gathered against money laundering must not feed commerce (Regulation (EU) 2024/1624, article 76(4)). The reads of a
part are traced through calculations, ratios and conditions on linked facts. An action of a policy depends on the rules
that can give it or take it away.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fivefold.domain.text import perhaps
from fivefold.risk.compiler.diagnostics import Diagnostic
from fivefold.risk.compiler.locations import (
    Location,
    conditions_of,
    conditions_of_policy,
    inputs_at,
    inputs_named,
    lists_named,
    tests_at,
    wheres_in,
)
from fivefold.risk.compiler.value_types import column_of, inputs_of_group, linked_source
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.calculations import inputs_calculated
from fivefold.risk.language.documents import Path
from fivefold.risk.language.expressions import (
    CalculationInput,
    FieldInput,
    IndicatorInput,
    Linked,
    Ratio,
    ScreeningInput,
    TagInput,
    ValueInput,
    Window,
    input_of_test,
    word_of,
)
from fivefold.risk.language.fields import TRANSACTION_FIELDS
from fivefold.risk.language.peers import peers_of
from fivefold.risk.language.policy import POLICY_INPUTS, LevelInput, Policy, StepInput, TransactionInput
from fivefold.risk.language.purposes import PURPOSE_PHRASES, DecisionPurposes, PolicyPurposes, Purpose, strictest
from fivefold.risk.language.ruleset import Ruleset


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Purposes that are declared outside a document; they can only make the document's own stricter.

    Attributes:
        lists: the purpose of each list, by name; a missing one is `aml`. None if lists are not known: then they are
            not checked.
        declared: the purposes of the entity type's data, and of its level; None if the document alone declares them.
        groups: the purpose of membership of each named group, by name; a missing one is `aml`. None as for lists.
    """

    lists: Mapping[str, Purpose] | None = None
    groups: Mapping[str, Purpose] | None = None
    declared: PolicyPurposes | None = None


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A source that a part of a document reads, and the path to it.

    Attributes:
        path: the path of the input or list that the part names, in the words of the document.
        steps: the steps from the document down to the source, in words.
        source: the source that is read, the last of the steps.
        purpose: what the data were gathered for.
        part: `ruleset`, or the action of a policy that depends on it; empty if no action for commerce does.
        serves: the purpose of that part.
        hint: the place that should declare what the data are for; empty if it is declared.
    """

    path: Path
    steps: tuple[str, ...]
    source: str
    purpose: Purpose
    part: str
    serves: Purpose
    hint: str = ""

    @property
    def is_allowed(self) -> bool:
        """Whether the part may read the source."""
        return self.serves == "aml" or self.purpose != "aml"


class _Source(NamedTuple):
    """A source in words, and its purpose; `hint` names the place that should declare it, if it is not declared."""

    words: str
    purpose: Purpose
    hint: str = ""


@dataclass(frozen=True)
class SourceReader:
    """Traces the inputs and lists of a ruleset, a policy or a flow to their sources."""

    definition: Any
    sources: Sources
    _sources_by_calculation: dict[str, dict[_Source, tuple[str, ...]]] = field(default_factory=dict)

    def read(self, rule_input: LanguageModel) -> dict[_Source, tuple[str, ...]]:
        """Return the sources of an input, each with the shortest chain of calculations to it."""
        peers = peers_of(rule_input)
        if peers is not None:
            grouped = () if peers.group is None else self._sources_of(peers.group)
            return self.read(peers.of) | dict.fromkeys((*grouped, *self._reference()), ())
        if not isinstance(rule_input, CalculationInput):
            return dict.fromkeys(self._sources_of(rule_input), ())
        name = rule_input.calculation
        if name not in self._sources_by_calculation:
            self._sources_by_calculation[name] = self._through(name)
        return self._sources_by_calculation[name]

    def _through(self, name: str) -> dict[_Source, tuple[str, ...]]:
        """Trace a calculation breadth first, each calculation once, as there may be cycles."""
        sources: dict[_Source, tuple[str, ...]] = {}
        chains: dict[str, tuple[str, ...]] = {name: (f"calculation {name}",)}
        waiting = deque([name])
        while waiting:
            this = waiting.popleft()
            calculation = self.definition.calculate.get(this)
            for _, each in () if calculation is None else inputs_calculated(calculation):
                if not isinstance(each, CalculationInput):
                    sources = dict.fromkeys(self._sources_of(each), chains[this]) | sources
                elif each.calculation not in chains:
                    chains[each.calculation] = (*chains[this], f"calculation {each.calculation}")
                    waiting.append(each.calculation)
        return sources

    def _sources_of(self, rule_input: Any) -> Iterator[_Source]:
        """Yield the sources that an input reads by itself, not through calculations."""
        match rule_input:
            case Ratio():
                for side in rule_input.ratio:
                    yield from self._sources_of(side)
            case Window():
                yield from self._of_window(rule_input)
            case Linked():
                yield from self._of_group(rule_input)
            case FieldInput():
                yield self._field(rule_input.field)
            case TransactionInput():
                yield self._transaction_field(rule_input.transaction)
            case TagInput():
                yield self._source_of("tags", rule_input.tag, "tag")
            case LevelInput():
                yield _Source(f"level {rule_input.level}", self._level())
            case StepInput():
                return  # what the step reads is checked where the step is written
            case _:
                is_free = isinstance(rule_input, IndicatorInput | ValueInput)
                yield _Source(_words_of_other(rule_input), "both" if is_free else "aml")

    def _of_window(self, window: Window) -> Iterator[_Source]:
        """Yield the sources of an aggregate. Facts other than transactions, such as cases, were gathered as `aml`."""
        source = linked_source(window)
        if source in self.definition.fields:  # days since a date field
            yield self._field(source)
        elif source != "transactions":
            yield _Source(source, "aml")
        else:
            column = column_of(window)
            yield _Source("transactions", "both") if column is None else self._transaction_field(column)
        for place in wheres_in((), window):
            for _, test in tests_at(place):
                tested = [input_of_test(test), *(other for _, other in test.comparisons())]
                fields = [each.field for each in tested if isinstance(each, FieldInput)]
                yield from (self._transaction_field(name) for name in fields if source == "transactions")
            yield from (source for _, source in self.lists_in(place))

    def _of_group(self, linked: Linked) -> Iterator[_Source]:
        """Yield the links, what is read of linked entities, and the lists that conditions on them name."""
        yield self._source_of("links", linked.linked.by, "link")
        for each in inputs_of_group(linked.linked):
            yield from self._sources_of(each)
        for place in wheres_in((), linked):
            if place.source is None:  # the others are of aggregates
                yield from (source for _, source in self.lists_in(place))

    def lists_in(self, place: Location) -> Iterator[tuple[Path, _Source]]:
        """Yield the lists that a condition reads, each with its path, if the purposes of lists are known."""
        for path, name in lists_named(place):
            if self.sources.lists is not None:
                yield path, _Source(f"list {name}", self.sources.lists.get(name, "aml"))

    def _reference(self) -> Iterator[_Source]:
        """Yield the list of peers. One without a version has the purpose of its ruleset, which has yet to build it."""
        name = self.definition.reference
        if name is not None and self.sources.lists is not None:
            builds = isinstance(self.definition, Ruleset)
            absent: Purpose = self.definition.purpose if builds else "aml"
            yield _Source(f"list {name}", self.sources.lists.get(name, absent))

    def _field(self, name: str) -> _Source:
        return self._source_of("fields", name, "field")

    def _transaction_field(self, name: str) -> _Source:
        if name in TRANSACTION_FIELDS:
            return _Source(f"transaction field {name}", "both")
        return self._source_of("transaction_fields", name, "transaction field")

    def _source_of(self, kind: str, name: str, word: str) -> _Source:
        """Combine the purposes that the document and the type declare; `aml` if one of them declares none."""
        here = getattr(self.definition.purposes, kind).get(name)
        hint = f"purposes, {kind} says nothing of it" if here is None else ""
        there = here if self.sources.declared is None else getattr(self.sources.declared, kind).get(name)
        if here is not None and there is None:
            hint = f"nothing is said of it under purposes, {kind} of the entity type"
        return _Source(f"{word} {name}", "aml" if None in {here, there} else strictest([here, there]), hint)

    def _level(self) -> Purpose:
        own, declared = self.definition.purposes, self.sources.declared
        purposes = [own.level] if isinstance(own, DecisionPurposes) else []
        return strictest([*purposes, *(() if declared is None else (declared.level,))])


def _words_of_other(rule_input: Any) -> str:
    """Name an input that is neither a field nor an aggregate."""
    if isinstance(rule_input, ScreeningInput):
        return f"screening {rule_input.screening}"
    word = word_of(rule_input, (*POLICY_INPUTS, "pattern"))
    return "an input" if word is None else f"{word} {getattr(rule_input, word)}"


def readings(definition: Ruleset | Policy, sources: Sources) -> Iterator[Reading]:
    """Yield what each part reads: each source once for each rule, by its shortest path, in the order written."""
    reader = SourceReader(definition, sources)
    serving = _serving(definition)
    pairs = set[tuple[str, _Source]]()
    for path, step, source, chain in _named(definition, reader):
        part, serves = serving.get(path[1], ("", "aml")) if path[0] == "rules" else ("ruleset", definition.purpose)
        if (step, source) in pairs:
            continue
        pairs.add((step, source))
        action = (f"action {part}",) if part not in {"", "ruleset"} else ()
        yield Reading(
            path=path,
            steps=(f"{definition.word} {definition.name}", *action, step, *chain, source.words),
            source=source.words,
            purpose=source.purpose,
            part=part,
            serves=serves,
            hint=source.hint,
        )


def _named(definition: Ruleset | Policy, reader: SourceReader) -> Iterator[tuple[Path, str, _Source, tuple[str, ...]]]:
    """Yield, for each input or list named, its path, the part in words, the source, and the calculations between."""
    if isinstance(definition, Ruleset):
        places = list(conditions_of(definition))
        inputs: Iterable[tuple[Path, LanguageModel]] = inputs_at(definition, places)
    else:
        places = list(conditions_of_policy(definition))
        inputs = (at for place in places for at in inputs_named(place))
    for path, rule_input in inputs:
        for source, chain in reader.read(rule_input).items():
            yield path, _part_words(path, definition), source, chain
    for place in places:
        for path, source in reader.lists_in(place):
            yield path, _part_words(path, definition), source, ()


def _part_words(path: Path, definition: Ruleset | Policy) -> str:
    if path[0] == "rules":
        return f"rule {definition.rules[int(path[1])].id}"
    return "applies_to" if path[0] == "applies_to" else "weights_by"


def _serving(definition: Ruleset | Policy) -> dict[Any, tuple[str, Purpose]]:
    """Return what each rule serves: the ruleset, or the first action for commerce that depends on it."""
    if isinstance(definition, Ruleset):
        return dict.fromkeys(range(len(definition.rules)), ("ruleset", definition.purpose))
    of = {action: definition.purposes.actions.get(action, definition.purpose) for action in definition.actions}
    commercial = [action for action in definition.actions if of[action] != "aml"]
    serving: dict[Any, tuple[str, Purpose]] = {}
    for position in range(len(definition.rules)):
        rule, influenced = definition.rules[position], actions_influenced(definition, position)
        own_first = (each for each in (rule.action, rule.on_unknown, *commercial) if each in commercial)
        serving[position] = next(((each, of[each]) for each in own_first if each in influenced), ("", "aml"))
    return serving


def actions_influenced(policy: Policy, position: int) -> frozenset[str]:
    """Return the actions that may depend on one rule.

    A rule can take an action away by giving another, which comes before it or is more severe. Each rule is assumed to
    hold, or not, independently of the others.
    """
    rule, others = policy.rules[position], [each for place, each in enumerate(policy.rules) if place != position]
    after = policy.rules[position + 1 :] if policy.wins == "first" else others
    own = [each for each in (rule.action, rule.on_unknown) if each is not None]
    influenced: set[str] = set()
    for rest in {None, *(each for one in after for each in (one.action, one.on_unknown))}:
        results = {_winner(policy, each, rest) for each in (None, *own)}
        influenced |= results if len(results) > 1 else set()
    return frozenset(influenced)


def _winner(policy: Policy, action: str | None, rest: str | None) -> str:
    """Return the action that is taken if one rule gives an action or none, and the rest another or none."""
    there = [each for each in (action, rest) if each is not None]
    if not there:
        return policy.otherwise
    if policy.wins == "first":
        return there[0]
    return max(there, key=lambda each: policy.actions.index(each) if each in policy.actions else -1)


def purpose_diagnostics(definition: Ruleset | Policy, sources: Sources) -> Iterator[Diagnostic]:
    """Find commercial uses of data that were gathered against money laundering, and unknown names in `purposes`."""
    for each in readings(definition, sources) if _serves_commerce(definition) else ():
        if not each.is_allowed:
            whose = f"the ruleset is for {PURPOSE_PHRASES[each.serves]}"
            if each.part != "ruleset":
                whose = f"the action {each.part}, which depends on it, is for {PURPOSE_PHRASES[each.serves]}"
            alone = f"for aml alone ({each.hint})" if each.hint else "for aml alone"
            problem = f"reads {each.source}, which is {alone}, and {whose}: {' → '.join(each.steps)}"
            yield Diagnostic(each.path, problem, check="purposes")
    yield from purpose_name_diagnostics(definition)


def place_diagnostics(rulesets: Sequence[Ruleset], sources: Sources) -> Iterator[tuple[Ruleset, Diagnostic]]:
    """Find rulesets for commerce whose entities depend on data for `aml`.

    Of several rulesets the first that applies decides. So the entities of one depend on what those before it read in
    their applies_to.

    Args:
        rulesets: of one type of entity, in the order in which they are tried.
        sources: purposes that are declared outside of them.
    """
    for place, ruleset in enumerate(rulesets):
        earlier = rulesets[:place] if ruleset.purpose != "aml" else ()
        for before in earlier:
            for each in readings(before, sources):
                if each.path[0] != "applies_to" or each.purpose != "aml":
                    continue
                alone = f"for aml alone ({each.hint})" if each.hint else "for aml alone"
                steps = (f"ruleset {ruleset.name}", f"ruleset {before.name}, which is tried before it", *each.steps[1:])
                problem = (
                    f"decides on those whom {before.name} leaves to it, which reads {each.source}; that is {alone}, "
                    f"and the ruleset is for {PURPOSE_PHRASES[ruleset.purpose]}: {' → '.join(steps)}"
                )
                yield ruleset, Diagnostic(("purpose",), problem, check="purposes")


def _serves_commerce(definition: Ruleset | Policy) -> bool:
    """Check whether any part is for commerce; most documents have none, and their reads need not be traced."""
    actions = definition.purposes.actions.values() if isinstance(definition, Policy) else ()
    return any(purpose != "aml" for purpose in (definition.purpose, *actions))


def purpose_name_diagnostics(definition: Any) -> Iterator[Diagnostic]:
    """Find unknown names in `purposes`."""
    purposes = definition.purposes
    there: list[tuple[str, Iterable[str], Mapping[str, Any] | tuple[str, ...]]] = [
        ("fields", purposes.fields, definition.fields),
        ("transaction_fields", purposes.transaction_fields, definition.transaction_fields),
        ("links", purposes.links, definition.links),
    ]
    if isinstance(purposes, PolicyPurposes) and isinstance(definition, Policy):
        there.append(("actions", purposes.actions, definition.actions))
    for kind, named, declarations in there:
        for name in named:
            if name not in declarations:
                names = ", ".join(declarations) or "none"
                problem = f"there is no {name} under {kind}; there are {names}{perhaps(name, declarations)}"
                yield Diagnostic(("purposes", kind, name), problem, check="purposes")
