"""Purposes: what each part of a ruleset or a policy reads, by which path, and whether it may.

Data gathered against money laundering must not feed commerce (Regulation (EU) 2024/1624, article 76(4)). What a part
reads is followed through calculations, ratios and conditions on linked facts; what an action of a policy depends on, to
the rules that can give it or take it away.
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
    """What is said of purposes outside a document; it may only be stricter than the document itself.

    Attributes:
        lists: what each list was made for, by name; one that is not there is `aml`. None where lists are not known:
            then nothing is said of them.
        declared: what the data of the entity type were gathered for, and its level; None where the document alone says
            it.
        groups: what membership of each named group is for, by name; one that is not there is `aml`. None as for lists.
    """

    lists: Mapping[str, Purpose] | None = None
    groups: Mapping[str, Purpose] | None = None
    declared: PolicyPurposes | None = None


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a part of a document reads, and by which path.

    Attributes:
        path: of what the part names, in the words of the document.
        steps: from the document down to what is read, in words.
        source: what is read, the last of the steps.
        purpose: what the data were gathered for.
        part: `ruleset`, or the action of a policy that depends on it; empty where the policy's actions do not.
        serves: what that part is for.
        hint: where it could be said what the data are for, if nobody says it; else empty.
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
        """Tell whether the part may read it."""
        return self.serves == "aml" or self.purpose != "aml"


class _Source(NamedTuple):
    """What is read, in words, and what it was gathered for; `hint` says where that could be said, if it is not."""

    words: str
    purpose: Purpose
    hint: str = ""


@dataclass(frozen=True)
class SourceReader:
    """Follows what is named in a ruleset, a policy or a flow to what is read."""

    definition: Any
    sources: Sources
    _sources_by_calculation: dict[str, dict[_Source, tuple[str, ...]]] = field(default_factory=dict)

    def read(self, rule_input: LanguageModel) -> dict[_Source, tuple[str, ...]]:
        """Give what an input reads, each with the shortest chain of calculations that leads there."""
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
        """Look at calculations in the order of how far they are away, each once: they may be made of themselves."""
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
        """Give what an input reads by itself, through no calculation."""
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
                return  # what the step reads is looked at where it is written
            case _:
                is_free = isinstance(rule_input, IndicatorInput | ValueInput)
                yield _Source(_words_of_other(rule_input), "both" if is_free else "aml")

    def _of_window(self, window: Window) -> Iterator[_Source]:
        """Give the sources that an aggregate reads. All but transactions, such as cases, were gathered as `aml`."""
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
        """Give the links that lead there, what is read of those linked, and the lists that conditions on them name."""
        yield self._source_of("links", linked.linked.by, "link")
        for each in inputs_of_group(linked.linked):
            yield from self._sources_of(each)
        for place in wheres_in((), linked):
            if place.source is None:  # the others are of aggregates
                yield from (source for _, source in self.lists_in(place))

    def lists_in(self, place: Location) -> Iterator[tuple[Path, _Source]]:
        """Give the lists that a condition reads, where it is known what they are for."""
        for path, name in lists_named(place):
            if self.sources.lists is not None:
                yield path, _Source(f"list {name}", self.sources.lists.get(name, "aml"))

    def _reference(self) -> Iterator[_Source]:
        """Give the list of peers. One without a version is for what its ruleset is for, which has yet to build it."""
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
        """Join what the document and the type say; where one of them says nothing, it is `aml`."""
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
    """Give what each part reads: everything once for each rule, by its shortest path, in the order written."""
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
    """Give what is read wherever something is named: the path, the part in words, what is read, what lies between."""
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
    """Tell what each rule serves: the ruleset, or the first action for commerce that depends on it."""
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
    """Tell of which actions it can depend on one rule whether they are taken.

    A rule that gives another action can take one away: it comes before the rule that gives it, or is more severe. Each
    rule is taken to hold, or not, whatever the others do.
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
    """Give the action that is taken, where one rule gives an action or none, and the rest another or none."""
    there = [each for each in (action, rest) if each is not None]
    if not there:
        return policy.otherwise
    if policy.wins == "first":
        return there[0]
    return max(there, key=lambda each: policy.actions.index(each) if each in policy.actions else -1)


def purpose_diagnostics(definition: Ruleset | Policy, sources: Sources) -> Iterator[Diagnostic]:
    """Find what reads data for commerce that were gathered against money laundering, and names that are not there."""
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
    """Find rulesets for commerce that decide on those whom data for `aml` leave to them.

    Of several rulesets the first that applies decides. So on whom one decides depends on what those before it read in
    their applies_to.

    Args:
        rulesets: of one type of entity, in the order in which they are tried.
        sources: what is said of purposes outside of them.
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
    """Tell whether anything in it is for commerce; most documents need no look at what they read."""
    actions = definition.purposes.actions.values() if isinstance(definition, Policy) else ()
    return any(purpose != "aml" for purpose in (definition.purpose, *actions))


def purpose_name_diagnostics(definition: Any) -> Iterator[Diagnostic]:
    """Find names under `purposes` that are not there."""
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
