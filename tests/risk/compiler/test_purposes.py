"""Purposes: a path is found exactly where data gathered against money laundering reach what is for commerce."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.errors import InvalidRulesetError
from fivefold.risk.compiler.analysis import AnalysedPolicy, AnalysedRuleset
from fivefold.risk.compiler.purposes import (
    Sources,
    actions_influenced,
    place_diagnostics,
    purpose_diagnostics,
    readings,
)
from fivefold.risk.facts.portfolio import NamedList
from fivefold.risk.governance.beside import composed
from fivefold.risk.language.expressions import AGGREGATE_WORDS
from fivefold.risk.language.peers import PEER_WORDS
from fivefold.risk.language.policy import POLICY_INPUTS, Policy
from fivefold.risk.language.purposes import PolicyPurposes
from tests.golden import compare
from tests.risk.compiler.rulesets_made import made

Data = dict[str, Any]
FIELDS, PAYMENT_FIELDS, TAGS, LISTS = (tuple(f"{word}{n}" for n in range(3)) for word in ("f", "t", "g", "l"))
CALCULATIONS = tuple(f"c{number}" for number in range(4))
ACTIONS = ("allow", "offer", "block")

purposes = st.sampled_from([None, "aml", "commercial", "both"])


def _said(names: tuple[str, ...]) -> st.SearchStrategy[Data]:
    said = st.tuples(*(purposes for _ in names))
    return said.map(lambda each: {name: word for name, word in zip(names, each, strict=True) if word is not None})


@dataclass(frozen=True)
class Read:
    """An input as it is written, and the names of what it reads: sources, and calculations."""

    written: Data
    reads: frozenset[str]


def _read(written: Data, *reads: str) -> Read:
    return Read(written, frozenset(reads))


_fields = st.sampled_from(FIELDS).map(lambda name: _read({"field": name}, f"field {name}"))
_sums = st.tuples(st.sampled_from(PAYMENT_FIELDS), st.sampled_from(PAYMENT_FIELDS), st.sampled_from(LISTS)).map(
    lambda names: _read(
        {
            "sum": names[0],
            "where": {"all": [{"field": names[1], "in_list": names[2]}, {"field": "amount", "above": 1}]},
        },
        *(f"transaction field {name}" for name in (*names[:2], "amount")),
        f"list {names[2]}",
    )
)
_others = st.sampled_from(
    [
        _read({"sum": "amount"}, "transaction field amount"),
        _read({"value": "score"}, "value score"),
        _read({"indicator": "account_age"}, "indicator account_age"),
        _read({"count": "transactions"}, "transactions"),
        _read({"count": "cases"}, "cases"),
        _read({"days_since": "alerts"}, "alerts"),
    ]
)
_numbers = st.one_of(_fields, _sums, _others)
_calculated = st.sampled_from(CALCULATIONS).map(lambda name: _read({"calculation": name}, name))
_ratios = st.tuples(_numbers, _numbers).map(
    lambda sides: Read({"ratio": [side.written for side in sides]}, sides[0].reads | sides[1].reads)
)
_marks = st.one_of(
    st.sampled_from(TAGS).map(lambda name: _read({"tag": name}, f"tag {name}")),
    st.just(_read({"screening": "pep"}, "screening pep")),
)
_levels = st.sampled_from(["in_force", "rules"]).map(lambda word: _read({"level": word}, f"level {word}"))
_inputs = st.one_of(_numbers, _calculated, _ratios, _marks)
_operations = st.lists(st.one_of(_numbers, _calculated, _calculated), min_size=2, max_size=3)


def _calculation(parts: list[Read]) -> Data:
    return {"unit": "ratio", "add": [part.written for part in parts]}


@dataclass(frozen=True)
class Drawn:
    """What a document is made of: what is said of its data, its calculations, and what each of its rules reads."""

    said: Data
    lists: dict[str, Any]
    calculations: dict[str, list[Read]]
    rules: list[list[Read]]

    def sources(self) -> Sources:
        return Sources(lists={name: self.lists.get(name, "aml") for name in LISTS})

    def head(self) -> Data:
        names = {"fields": FIELDS, "transaction_fields": PAYMENT_FIELDS}
        return {
            **{part: dict.fromkeys(fields, "number") for part, fields in names.items()},
            "calculate": {name: _calculation(parts) for name, parts in self.calculations.items()},
            "levels": ["low", "medium", "high"],
            "entity_type": "customer",
        }

    def forbidden(self) -> list[set[str]]:
        """Say which sources for aml alone each rule reads: what is tainted spreads until nothing more is."""
        reached: dict[str, set[str]] = {name: set() for name in CALCULATIONS}
        while True:
            grown = {
                name: {one for part in parts for each in part.reads for one in (reached.get(each) or {each})}
                for name, parts in self.calculations.items()
            }
            grown = {name: {one for one in ones if one not in CALCULATIONS} for name, ones in grown.items()}
            if all(grown[name] <= reached[name] for name in grown):
                break
            reached = {name: reached[name] | grown[name] for name in reached}
        wholes = [
            {one for read in rule for each in read.reads for one in reached.get(each, {each})} for rule in self.rules
        ]
        return [{one for one in whole if self._is_aml(one)} for whole in wholes]

    def _is_aml(self, source: str) -> bool:
        kind, _, name = source.rpartition(" ")
        if kind in {"field", "transaction field", "tag"}:
            said = self.said.get({"field": "fields", "tag": "tags"}.get(kind, "transaction_fields"), {})
            return name != "amount" and said.get(name, "aml") == "aml"
        if kind == "list":
            return bool(self.lists.get(name, "aml") == "aml")
        if kind == "level":
            return bool(self.said.get("level", "aml") == "aml")
        return source in {"cases", "alerts", "screening pep"}


def _drawn(inputs: st.SearchStrategy[Read], **said: st.SearchStrategy[Any]) -> st.SearchStrategy[Drawn]:
    return st.builds(
        Drawn,
        said=st.fixed_dictionaries(
            {"fields": _said(FIELDS), "transaction_fields": _said(PAYMENT_FIELDS), "tags": _said(TAGS)}, optional=said
        ),
        lists=_said(LISTS),
        calculations=st.fixed_dictionaries(dict.fromkeys(CALCULATIONS, _operations)),
        rules=st.lists(st.lists(inputs, min_size=1, max_size=3), min_size=1, max_size=4),
    )


def _when(reads: list[Read]) -> Data:
    return {"any": [{**read.written, "is": "present"} for read in reads]}


def _is_path(drawn: Drawn, rule: int, steps: tuple[str, ...]) -> bool:
    """Tell whether each step is read by the one before."""
    here = {one for read in drawn.rules[rule] for one in read.reads}
    for step in steps:
        name = step.removeprefix("calculation ")
        if name not in here:
            return False
        here = {one for part in drawn.calculations.get(name, ()) for one in part.reads}
    return True


@given(_drawn(_inputs), st.sampled_from(["aml", "commercial", "both"]))
def test_a_ruleset_for_commerce_is_refused_exactly_where_it_reads_what_is_for_aml_alone(
    drawn: Drawn, purpose: str
) -> None:
    rules = [
        {"id": f"r{n}", "input": reads[0].written, "cases": [{"when": _when(reads), "points": 1}]}
        for n, reads in enumerate(drawn.rules)
    ]
    ruleset = made(rules=rules, **drawn.head(), purpose=purpose, purposes=drawn.said)
    found = [each for each in readings(ruleset, drawn.sources()) if not each.is_allowed]
    expected = [set() for _ in rules] if purpose == "aml" else drawn.forbidden()
    assert [{each.source for each in found if each.path[1] == n} for n in range(len(rules))] == expected
    assert all(_is_path(drawn, each.path[1], each.steps[2:]) for each in found)
    assert bool(list(purpose_diagnostics(ruleset, drawn.sources()))) == any(expected)


def _taken(policy: Policy, states: tuple[bool | None, ...]) -> str:
    """Decide by the book: None is a rule of which it is unknown whether it holds."""
    given_ = [
        rule.action if state else rule.on_unknown
        for rule, state in zip(policy.rules, states, strict=True)
        if state is not False
    ]
    there = [each for each in given_ if each is not None]
    if not there:
        return policy.otherwise
    return there[0] if policy.wins == "first" else max(there, key=ACTIONS.index)


def _depends(policy: Policy, position: int, action: str) -> bool:
    """Try every combination of what the rules can come to."""
    states = (True, False, None)
    results: dict[tuple[Any, ...], set[bool]] = {}
    for tried in product(states, repeat=len(policy.rules)):
        rest = (*tried[:position], *tried[position + 1 :])
        results.setdefault(rest, set()).add(_taken(policy, tried) == action)
    return any(len(seen) > 1 for seen in results.values())


_action = st.sampled_from(ACTIONS)
_ways = st.lists(st.tuples(_action, st.none() | _action), min_size=4, max_size=4)


@given(
    _drawn(st.one_of(_inputs, _levels), level=purposes.filter(bool), actions=_said(ACTIONS)),
    _ways,
    st.sampled_from(["first", "most severe"]),
    st.sampled_from(["aml", "commercial", "both"]),
    _action,
)
def test_an_action_for_commerce_depends_on_no_rule_that_reads_what_is_for_aml_alone(
    drawn: Drawn, ways: list[tuple[str, str | None]], wins: str, purpose: str, otherwise: str
) -> None:
    rules = [
        {"id": f"r{n}", "title": "R", "when": _when(reads), "action": ways[n][0], "on_unknown": ways[n][1]}
        for n, reads in enumerate(drawn.rules)
    ]
    policy = Policy.model_validate(
        {
            **drawn.head(),
            "policy": "made",
            "purpose": purpose,
            "purposes": drawn.said,
            "actions": ACTIONS,
            "wins": wins,
            "otherwise": otherwise,
            "rules": rules,
        }
    )
    found = [each for each in readings(policy, drawn.sources()) if not each.is_allowed]
    of = drawn.said.get("actions", {})
    commercial = [action for action in ACTIONS if of.get(action, purpose) != "aml"]
    expected = [
        reads if any(_depends(policy, n, action) for action in commercial) else set()
        for n, reads in enumerate(drawn.forbidden())
    ]
    assert [{each.source for each in found if each.path[1] == n} for n in range(len(rules))] == expected
    assert all(_depends(policy, each.path[1], each.part) and each.part in commercial for each in found)
    assert all(_is_path(drawn, each.path[1], each.steps[3:]) for each in found)
    for n in range(len(rules)):
        assert actions_influenced(policy, n) == {action for action in ACTIONS if _depends(policy, n, action)}


COMMERCE: Data = {"purpose": "commercial", "fields": {"income": "number"}, "transaction_fields": {"shop": "text"}}


@pytest.mark.parametrize(
    "part",
    [
        {"applies_to": {"field": "income", "above": 1}},
        {
            "rules": [
                {
                    "id": "one",
                    "input": {"value": "score"},
                    "decay": {"half_life": "9 days", "signal": {"count": "cases"}},
                }
            ]
        },
        {"rules": [{"id": "one", "input": {"pattern": "fan-in", "at_least": 3, "over": "30 days"}}]},
        {"rules": [{"id": "one", "input": {"value": "score"}, "cases": [{"when": {"below": {"field": "income"}}}]}]},
        {"rules": [{"id": "one", "input": {"count": "transactions", "where": {"field": "shop", "equals": "a"}}}]},
        {
            "score": {
                "weighted": {
                    "bands": [31, 61],
                    "weights": {"all": {"one": 100}},
                    "weights_by": [{"when": {"tag": "vip", "is": "present"}, "use": "all"}, {"use": "all"}],
                }
            },
            "rules": [{"id": "one", "input": {"value": "score"}}],
        },
    ],
)
def test_every_place_of_a_ruleset_is_looked_at(part: Data) -> None:
    plain = {"rules": [{"id": "one", "input": {"value": "score"}}]}
    (found,) = purpose_diagnostics(made(**COMMERCE, **{**plain, **part}), Sources())
    assert found.check == "purposes"


def test_a_list_for_aml_that_picks_those_linked_is_not_for_commerce() -> None:
    where = {"field": "country", "in_list": "watched"}
    counted = {"linked": {"by": "home", "count": "entities", "where": where}}
    said = {"fields": {"country": "both"}, "links": {"home": "both"}}
    fields = {"fields": {"country": "country"}, "links": {"home": {"kind": "shared"}}}
    document = made({"input": counted}, **{**COMMERCE, **fields, "purposes": said})
    (found,) = purpose_diagnostics(document, Sources(lists={"watched": "aml"}))
    assert "list watched, which is for aml alone" in found.problem
    assert not list(purpose_diagnostics(document, Sources(lists={"watched": "both"})))


def test_every_kind_of_input_is_known_or_taken_for_aml() -> None:
    words = {"field": "income", "count": "cases", "days_since": "cases", "calculation": "c", "value": "score"}
    free = {"indicator", "value", "transaction"}  # and sums and the like of amounts
    for word in (word for word in POLICY_INPUTS if word != "step"):  # which flows alone have
        sides = [{"field": "income"}, {"value": "score"}]
        written = {word: sides if word == "ratio" else words.get(word, {"level": "rules"}.get(word, "amount"))}
        if word in PEER_WORDS:
            written = {word: {"of": {"field": "income"}, "among": "everyone"}}
        written |= {"percentile": {"percentile": 95, "of": "amount"}, "largest": {"n": 3}}.get(word, {})
        written |= {"linked": {"by": "home", "count": "entities"}} if word == "linked" else {}
        policy = Policy.model_validate(
            {
                "policy": "made",
                **COMMERCE,
                "entity_type": "customer",
                "levels": ["low", "medium", "high"],
                "calculate": {"c": {"unit": "money", "of": {"field": "income", "as": "money"}}},
                "actions": ["no", "yes"],
                "wins": "first",
                "otherwise": "no",
                "rules": [{"id": "one", "title": "R", "when": {**written, "is": "present"}, "action": "yes"}],
            }
        )
        (found,) = readings(policy, Sources()) if word != "ratio" else [next(readings(policy, Sources()))]
        is_free = word in free or word in {*AGGREGATE_WORDS} - {"count", "days_since"}
        assert found.is_allowed == is_free, word


def test_whom_a_ruleset_for_commerce_is_left_is_not_decided_by_data_for_aml() -> None:
    silent = {"ruleset": "watch", "applies_to": {"field": "income", "above": 1}}
    commerce = made({"input": {"value": "score"}}, **COMMERCE)
    watch = made({"input": {"value": "score"}}, **silent)
    ((found_in, found),) = place_diagnostics([watch, commerce], Sources())
    assert found_in is commerce
    assert "that is for aml alone (purposes, fields says nothing of it), and the ruleset is for" in found.problem
    assert found.problem.endswith("which is tried before it → applies_to → field income")
    with pytest.raises(InvalidRulesetError, match="applies_to → field income"):
        composed([AnalysedRuleset(watch), AnalysedRuleset(commerce)], {})
    spoken = made({"input": {"value": "score"}}, **silent, purposes={"fields": {"income": "both"}})
    for together in ([commerce, watch], [watch, watch], [spoken, commerce]):
        assert not list(place_diagnostics(together, Sources()))


def test_a_list_for_aml_in_applies_to_decides_on_nobody_for_commerce_where_lists_are_known() -> None:
    said = {"purposes": {"fields": {"income": "both"}}}
    fields = {"country": "country"}
    watch = made(
        {"input": {"value": "score"}},
        ruleset="watch",
        fields=fields,
        purposes={"fields": {"country": "both"}},
        applies_to={"field": "country", "in_list": "watched"},
    )
    commerce = made({"input": {"value": "score"}}, **{**COMMERCE, **said, "ruleset": "good"})
    watched = {"list": "watched", "title": "W", "source": "S", "versions": [{"since": 0, "members": ["IR"]}]}
    together = [AnalysedRuleset(watch), AnalysedRuleset(commerce)]
    with pytest.raises(InvalidRulesetError, match="applies_to → list watched"):
        composed(together, {"watched": NamedList.model_validate(watched)})
    assert composed(together, {"watched": NamedList.model_validate({**watched, "purpose": "both"})})


@pytest.mark.parametrize(("purpose", "is_allowed"), [("commercial", True), (None, False)])
def test_a_reference_that_is_missing_is_for_what_its_own_ruleset_is_for(purpose: str | None, is_allowed: bool) -> None:
    peers = {"peer_percentile": {"of": {"value": "score"}, "among": "everyone"}}
    ruleset = made({"input": peers}, **COMMERCE, reference="our-peers")
    assert not list(purpose_diagnostics(ruleset, Sources(lists={})))
    stored: dict[str, Any] = {"our-peers": purpose or "aml"}
    assert (not list(purpose_diagnostics(ruleset, Sources(lists=stored)))) == is_allowed


def test_what_the_type_says_can_only_be_stricter() -> None:
    ruleset = made({"input": {"field": "income"}}, **COMMERCE, purposes={"fields": {"income": "both"}})
    assert not list(purpose_diagnostics(ruleset, Sources()))
    for said, is_refused in (({}, True), ({"income": "aml"}, True), ({"income": "commercial"}, False)):
        declared = PolicyPurposes.model_validate({"fields": said})
        assert bool(list(purpose_diagnostics(ruleset, Sources(declared=declared)))) == is_refused
    silent = made({"input": {"field": "income"}}, **COMMERCE)
    declared = PolicyPurposes.model_validate({"fields": {"income": "both"}})
    assert list(purpose_diagnostics(silent, Sources(declared=declared)))


def test_nothing_that_reads_what_it_may_not_can_be_used() -> None:
    analysed = AnalysedRuleset(made({"input": {"field": "income"}}, **COMMERCE))
    with pytest.raises(InvalidRulesetError, match="field income"):
        analysed.require_usable()
    AnalysedRuleset(made({"input": {"field": "income"}}, **{**COMMERCE, "purpose": "aml"})).require_usable()


def test_documents_that_say_nothing_keep_their_hash() -> None:
    plain = made()
    assert made(purpose="aml", purposes={"fields": {}}).content_hash == plain.content_hash
    assert '"purpose' not in plain.canonical
    assert made(purpose="both").content_hash != plain.content_hash


POLICY: Data = {
    "policy": "welcome-offer",
    "entity_type": "customer",
    "purpose": "commercial",
    "fields": {"income": "number"},
    "levels": ["low", "medium", "high"],
    "calculate": {
        "spread": {"unit": "days", "subtract": [{"calculation": "standing"}, 1]},
        "standing": {"unit": "days", "of": {"level": "age_days"}},
    },
    "actions": ["nothing", "offer", "block"],
    "wins": "first",
    "otherwise": "nothing",
}


def _policy(*conditions: Data, **more: Any) -> Policy:
    actions = ("offer", "block")
    rules = [
        {"id": f"rule-{n}", "title": "R", "when": when, "action": actions[n % 2]} for n, when in enumerate(conditions)
    ]
    return Policy.model_validate({**POLICY, "rules": rules, **more})


def _words_of(written: Any) -> str:
    """Say what is found in a ruleset of one rule, or in a policy with some conditions, and whatever stands beside."""
    part, more = written
    document = made(part, **more) if isinstance(part, dict) else _policy(*part, **more)
    return "; ".join(each.problem for each in purpose_diagnostics(document, Sources())) or "nothing"


def test_what_is_found_is_said() -> None:
    compare("purposes", _words_of)


def test_policies_are_refused_too() -> None:
    with pytest.raises(InvalidRulesetError, match="level in_force"):
        AnalysedPolicy(_policy({"level": "in_force", "equals": "low"})).require_usable()
    AnalysedPolicy(_policy({"value": "score", "above": 1})).require_usable()
