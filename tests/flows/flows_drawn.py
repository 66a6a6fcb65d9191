"""Flows drawn at random: all kinds of steps, each led to by earlier ones, that read what may be there by then."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from tests.flows.flows_small import ACTIONS, LEVELS, document
from tests.risk.engine.policies_small import ACTIONS as POLICY_ACTIONS
from tests.risk.engine.policies_small import COLUMNS as POLICY_COLUMNS
from tests.risk.engine.policies_small import drawn_rules
from tests.risk.engine.policies_small import rows as policy_rows

Data = dict[str, Any]
Draw = Any
MOST_STEPS, MOST_ENDS, MOST_ROWS = 6, 3, 4
ANSWERS = ["yes", "no"]
WORDS = ["a", "b"]
INNER_ENDS = ["good", "bad"]
_NUMBERS = [Decimal(-2), Decimal(0), Decimal("0.3"), Decimal(1), Decimal(3), Decimal("29.99")]
_ORDERED = st.sampled_from(["equals", "not_equals", "above", "at_least", "below", "at_most"])
_STATES = st.sampled_from(["present", "absent"])
_MONEY = st.sampled_from([Decimal(0), Decimal("10.01"), Decimal("33.33"), Decimal(5000)])


@dataclass
class Known:
    """What a step may read: facts, and what earlier steps may, or surely do, give."""

    calculations: dict[str, str] = field(default_factory=dict)
    outputs: list[tuple[str, str, str, list[str]]] = field(default_factory=list)

    def parts(self, unit: str) -> list[Data]:
        """Give the operands of a unit."""
        facts: list[Data] = [{"value": "score"}, {"field": "income"}] if unit == "ratio" else [{"sum": "amount"}]
        facts += [{"mean": "amount"}] if unit == "money" else []
        kind = "number" if unit == "ratio" else "money"
        facts += [{"calculation": name} for name, own in self.calculations.items() if own == unit]
        return facts + [{"step": step, "output": name} for step, name, own, _ in self.outputs if own == kind]


@st.composite
def calculations(draw: Draw, known: Known, unit: str) -> Data:
    """Draw a calculation of a unit."""

    def part(of: str) -> Any:
        numbers = _NUMBERS[1:] if of == "ratio" else []
        return draw(st.sampled_from([*known.parts(of), *numbers]))

    def pair(first: str, second: str) -> list[Any]:
        return [draw(st.sampled_from(known.parts(first))), part(second)]

    words = ["add", "subtract", "least_of", "greatest_of", "absolute", "clamp", "round", "of", "multiply", "divide"]
    word = draw(st.sampled_from([*words, "over"]))
    if word == "over":  # money over money is a ratio, a ratio of money is money
        made = {"divide": pair("money", "money") if unit == "ratio" else pair("money", "ratio")}
    elif word in {"multiply", "divide"}:
        made = {word: pair(unit, "ratio")}
    elif word in {"absolute", "of"}:
        made = {word: draw(st.sampled_from(known.parts(unit)))}
    elif word == "clamp":
        made = {"clamp": draw(st.sampled_from(known.parts(unit))), "from": 0, "to": Decimal("29.99")}
    elif word == "round":
        made = {"round": draw(st.sampled_from(known.parts(unit))), "decimals": draw(st.integers(0, 2))}
    else:
        made = {word: pair(unit, unit)}
    return {**made, "unit": unit}


def conditions(known: Known) -> st.SearchStrategy[Data]:
    """Draw conditions about facts and about what is known."""
    numbers = [*known.parts("ratio"), {"sum": "amount"}, *known.parts("money")[2:]]
    texts = [({"step": step, "output": name}, words) for step, name, kind, words in known.outputs if kind == "text"]
    flags = [{"step": step, "output": name} for step, name, kind, _ in known.outputs if kind == "flag"]
    levels = [{"step": step, "output": name} for step, name, kind, _ in known.outputs if kind == "level"]
    tests: list[st.SearchStrategy[Data]] = [
        st.tuples(st.sampled_from(numbers), _ORDERED, st.sampled_from(_NUMBERS)).map(
            lambda one: {**one[0], one[1]: one[2]}
        ),
        st.tuples(st.sampled_from(numbers), _STATES).map(lambda one: {**one[0], "is": one[1]}),
        st.tuples(_ORDERED, st.sampled_from(LEVELS)).map(lambda one: {"level": "in_force", one[0]: one[1]}),
        st.sampled_from([{"field": "country", "equals": "NO"}, {"field": "country", "in": ["DE", "FR"]}]),
        st.sampled_from([{"value": "score", "above": {"field": "income"}}, {"tag": "known", "is": "present"}]),
    ]
    if texts:
        tests.append(
            st.sampled_from(texts).flatmap(
                lambda one: st.tuples(st.sampled_from(["equals", "not_equals"]), st.sampled_from(one[1])).map(
                    lambda two: {**one[0], two[0]: two[1]}
                )
            )
        )
    if levels:
        tests.append(
            st.tuples(st.sampled_from(levels), _ORDERED, st.sampled_from(LEVELS)).map(
                lambda one: {**one[0], one[1]: one[2]}
            )
        )
    if flags:
        tests.append(st.tuples(st.sampled_from(flags), st.booleans()).map(lambda one: {**one[0], "equals": one[1]}))
    return st.recursive(
        st.one_of(tests),
        lambda below: st.one_of(
            st.lists(below, min_size=1, max_size=2).map(lambda parts: {"all": parts}),
            st.lists(below, min_size=1, max_size=2).map(lambda parts: {"any": parts}),
            below.map(lambda part: {"not": part}),
        ),
        max_leaves=3,
    )


_GIVEN: dict[str, st.SearchStrategy[Any]] = {
    "text": st.sampled_from(["a", "b"]),
    "number": st.sampled_from(_NUMBERS),
    "money": _MONEY,
    "flag": st.booleans(),
}


@st.composite
def tables(draw: Draw, known: Known) -> Data:
    """Draw a decision table."""
    kinds = draw(st.lists(st.sampled_from([*_GIVEN]), min_size=1, max_size=3, unique=True))
    given = st.fixed_dictionaries({f"{kind}_out": _GIVEN[kind] for kind in kinds})
    rows = [{"when": draw(conditions(known)), "give": draw(given)} for _ in range(draw(st.integers(1, 3)))]
    made = {"gives": {f"{kind}_out": kind for kind in kinds}, "rows": rows, "otherwise": draw(given)}
    return {**made, "on_unknown": draw(given)} if draw(st.booleans()) else made


@st.composite
def questions(draw: Draw, known: Known, *, money: bool = True) -> Data:
    """Draw a question to a source of data; without money, one to a model."""
    words = [word for word in (*_GIVEN, "one_of") if money or word != "money"]
    kinds = draw(st.lists(st.sampled_from(words), min_size=1, max_size=3, unique=True))
    facts = [*known.parts("ratio"), *known.parts("money"), {"field": "country"}, {"level": "in_force"}]
    facts += [{"step": step, "output": name} for step, name, _, _ in known.outputs]
    sent = draw(st.lists(st.sampled_from(facts), min_size=1, max_size=2))
    gives = {f"{kind}_out": {"one_of": WORDS} if kind == "one_of" else kind for kind in kinds}
    return {"source": "book", "send": {f"x{number}": fact for number, fact in enumerate(sent)}, "gives": gives}


@dataclass
class _Drawing:
    """Steps as far as they are drawn, and what each way to a later one has passed."""

    steps: list[Data]
    ways: dict[int, list[tuple[frozenset[int], frozenset[int]]]]
    here: int = 0

    def passed(self) -> tuple[frozenset[int], frozenset[int]]:
        """Give the steps that were possibly, and surely, passed before this one."""
        ways = self.ways.get(self.here, [])
        if not ways:
            return frozenset(), frozenset()
        return frozenset().union(*(some for some, _ in ways)), frozenset.intersection(*(sure for _, sure in ways))

    def lead(self, target: int) -> None:
        """Note that this step leads to another one, if anything leads to this one."""
        if self.here == 0 or self.here in self.ways:
            possibly, surely = self.passed()
            self.ways.setdefault(target, []).append((possibly | {self.here}, surely | {self.here}))

    def known(self) -> Known:
        """Give what this step may read."""
        possibly, surely = self.passed()
        found = Known()
        for place in sorted(possibly):
            step = self.steps[place]
            for name, one in step.get("calculate", {}).items() if place in surely else ():
                found.calculations[name] = one["unit"]
            found.outputs += _outputs(step)
        return found


def _outputs(step: Data) -> list[tuple[str, str, str, list[str]]]:
    own = step["id"]
    if "table" in step:
        table = step["table"]
        rows = [*(row["give"] for row in table["rows"]), table["otherwise"], table.get("on_unknown", {})]
        words = {
            name: sorted({row[name] for row in rows if name in row})
            for name, kind in table["gives"].items()
            if kind == "text"
        }
        return [(own, name, kind, words.get(name, [])) for name, kind in table["gives"].items()]
    if "person" in step:
        return [(own, "answer", "text", ANSWERS)]
    if "data" in step or "model" in step:
        gives = step.get("data", step.get("model"))["gives"].items()
        return [(own, name, kind if isinstance(kind, str) else "text", WORDS) for name, kind in gives]
    asked = next((kind for kind, asks in ASKING.items() if asks.items() <= step.items()), "")
    return [(own, *given) for given in _GIVEN_BY.get(asked, [])]


ASKING: dict[str, Data] = {
    "rules": {"rules": {"policy": "small"}},
    "ruleset": {"rules": {"ruleset": "plain"}},
    "value": {"value": {}},
    "flow": {"flow": "inner"},
}
"""What the steps that ask on the same facts have, by the word that is drawn."""

_GIVEN_BY: dict[str, list[tuple[str, str, list[str]]]] = {
    "rules": [("action", "text", POLICY_ACTIONS), ("decided_by", "text", ["r0"])],
    "ruleset": [("level", "level", LEVELS), ("total", "number", [])],
    "value": [("score", "number", []), ("expected_value", "number", []), ("expected_value_high", "number", [])],
    "flow": [("ends", "text", INNER_ENDS)],
}


@st.composite
def flows(draw: Draw, *, people: bool = False) -> Data:
    """Draw a flow; where *people* is set, the step before its ends asks a person."""
    often = ["calculate", "calculate", "route", "route", "table", "table"]
    kinds = draw(
        st.lists(
            st.sampled_from([*often, "rules", "ruleset", "value", "flow", "person", "data", "model"]),
            min_size=1,
            max_size=MOST_STEPS,
        )
    )
    kinds = [*kinds, "person"] if people else kinds
    count = len(kinds) + draw(st.integers(1, MOST_ENDS))
    drawing = _Drawing([], {})
    actions = list(ACTIONS[:3])
    for position in range(count):
        drawing.here = position
        if position < len(kinds):
            drawing.steps.append(_step(draw, drawing, kinds[position], count))
        else:
            end, limit = _end(draw, drawing)
            drawing.steps.append(end)
            actions += limit
    on_failure = ["flag", *draw(st.sampled_from([[], ["watch"], ["fixed"]]))]
    actions.append({"id": "fixed", "title": "Fixed", "limit": "daily", "amount": 30, "between": [10, 20]})
    return document(*drawing.steps, actions=actions, on_failure=on_failure)


def _step(draw: Draw, drawing: _Drawing, kind: str, count: int) -> Data:
    position, known = drawing.here, drawing.known()
    step: Data = {"id": f"s{position}"}

    def to() -> str:
        target = draw(st.integers(position + 1, min(position + 3, count - 1)))
        drawing.lead(target)
        return f"s{target}"

    if kind == "route":
        ways = [{"when": draw(conditions(known)), "to": to()} for _ in range(draw(st.integers(1, 3)))]
        step |= {"route": ways, "otherwise": to()}
        return {**step, "on_unknown": to()} if draw(st.booleans()) else step
    if kind == "person":
        answers = {answer: to() for answer in ANSWERS}
        return {**step, "person": {"question": "Well?", "within": "5 days", "answers": answers, "otherwise": to()}}
    if draw(st.booleans()):
        step["then"] = to()
    else:
        drawing.lead(position + 1)
    if kind == "table":
        return {**step, "table": draw(tables(known))}
    if kind in {"data", "model"}:
        question = draw(questions(known, money=kind == "data"))
        if kind == "model":
            question = {"name": "churn", "alias": "champion", "send": question["send"], "gives": question["gives"]}
        step |= {kind: question}
        return {**step, "on_unknown": to()} if draw(st.booleans()) else step
    if kind in ASKING:
        step |= ASKING[kind]
        return {**step, "on_unknown": to()} if draw(st.booleans()) else step
    names = {}
    for number in range(draw(st.integers(1, 2))):
        unit = draw(st.sampled_from(["money", "ratio"]))
        names[f"c{position}_{number}"] = draw(calculations(known, unit))
        known.calculations[f"c{position}_{number}"] = unit
    return {**step, "calculate": names}


def _end(draw: Draw, drawing: _Drawing) -> tuple[Data, list[Data]]:
    own = f"s{drawing.here}"
    money = [each for each in drawing.known().parts("money") if "calculation" in each or "step" in each]
    taken = draw(st.sampled_from([[], ["flag"], ["watch", "block"]]))
    limits: list[Data] = []
    if draw(st.booleans()):
        amount = draw(st.sampled_from([Decimal("12.34"), Decimal(7), *money, *money]))
        between = [Decimal("0.01"), Decimal("33.33")]
        limits = [{"id": f"limit-{own}", "title": "Limit", "limit": "daily", "amount": amount, "between": between}]
    return {"id": own, "end": [*taken, *(one["id"] for one in limits)]}, limits


NOT_READ = "not a number"
"""What is said of an income that could not be read."""


@dataclass
class Row:
    """What is known of one entity: facts, what a policy is asked with, answers and outcomes by the step.

    An outcome is None where none is there yet, and else what came back, under names that need not be declared.
    """

    facts: Data
    policy: tuple[Any, ...]
    answers: dict[str, str | None]
    outcomes: dict[str, Data | str | None] = field(default_factory=dict)


_maybe_nobody: st.SearchStrategy[str | None] = st.sampled_from([None, "nobody", *ANSWERS])


@st.composite
def rows(draw: Draw, written: Data) -> list[Row]:
    """Draw what is known of some entities."""
    people = [step["id"] for step in written["steps"] if "person" in step]
    sources = [step for step in written["steps"] if {"data", "model"} & set(step)]
    found = []
    for policy in draw(policy_rows)[:MOST_ROWS]:
        income = draw(st.sampled_from([None, NOT_READ, -2.0, 0.0, 0.3, 3.0, 29.99]))
        facts = {
            "level": draw(st.sampled_from([None, 1, 2, 3])),
            "score": draw(st.sampled_from([None, 1.0, 2.5, 3.0])),
            "worth": draw(st.sampled_from([None, -2.0, 29.99])),
            "worth_low": draw(st.sampled_from([None, 0.0])),
            "worth_high": draw(st.sampled_from([None, 29.99])),
            "sum": draw(st.sampled_from([None, 0, 1, 100, 1001, 2999])),
            "count": draw(st.sampled_from([0.0, 3.0, 7.0])),
            "income": None if income == NOT_READ else income,
            "problem": income if income == NOT_READ else None,
            "country": draw(st.sampled_from([None, "NO", "DE"])),
            "known": draw(st.booleans()),
        }
        outcomes = {step["id"]: draw(_came_back(step.get("data", step.get("model"))["gives"])) for step in sources}
        found.append(Row(facts, policy, {step: draw(_maybe_nobody) for step in people}, outcomes))
    return found


_WRONG: dict[str, st.SearchStrategy[Any]] = {
    "text": st.sampled_from([Decimal(1), True, "a\x00b", "\ud800"]),
    "number": st.sampled_from(["1", True, Decimal("1e15")]),
    "money": st.sampled_from(["1", Decimal("0.001")]),
    "flag": st.sampled_from(["true", Decimal(0)]),
    "one_of": st.sampled_from(["c", Decimal(1)]),
}
"""What is none of a kind."""


@st.composite
def _came_back(draw: Draw, gives: Data) -> Data | str | None:
    """Draw what came back: nothing yet, that it failed, or values, of which some may lack and one may be wrong."""
    word = draw(st.sampled_from(["values", "values", "values", "values", "failed", "nothing", "wrong", "strange"]))
    if word in {"failed", "nothing"}:
        return word if word == "failed" else None
    kinds = {name: name.removesuffix("_out") for name in gives if draw(st.integers(0, 3))}
    values = {name: draw(_GIVEN["text" if kind == "one_of" else kind]) for name, kind in kinds.items()}
    if word == "strange":
        return {**values, "undeclared": "a"}
    if word == "wrong" and kinds:
        name = draw(st.sampled_from(sorted(kinds)))
        return {**values, name: draw(_WRONG[kinds[name]])}
    return values


@st.composite
def inner_flows(draw: Draw) -> Data:
    """Draw a flow that other ones ask: a choice between two ends, perhaps after asking a ruleset or a policy."""
    known = Known()
    steps: list[Data] = []
    for kind in draw(st.sampled_from([[], ["ruleset"], ["rules"]])):
        steps.append({"id": "first", **ASKING[kind], **draw(st.sampled_from([{}, {"on_unknown": "bad"}]))})
        known.outputs += _outputs(steps[0])
    ways = [{"when": draw(conditions(known)), "to": "good"}]
    choice: Data = {"id": "choice", "route": ways, "otherwise": "bad"}
    choice |= draw(st.sampled_from([{}, {"on_unknown": "bad"}]))
    return document(*steps, choice, *({"id": name, "end": []} for name in INNER_ENDS), flow="inner")


@st.composite
def rulesets(draw: Draw) -> Data:
    """Draw a ruleset of two rules that may not apply, and that fails where income could not be read."""
    points = st.sampled_from([0, Decimal("4.5"), 10, 30])
    cases = [{"when": {"above": draw(st.sampled_from([0, Decimal("0.3"), 3]))}, "points": draw(points)}]
    rules = [
        {"id": "income", "input": {"field": "income"}, "cases": cases, "on_unknown": {"points": draw(points)}},
        {"id": "known", "cases": [{"when": {"tag": "known", "is": "present"}, "points": draw(points)}]},
    ]
    return {
        "ruleset": "plain",
        "entity_type": "customer",
        "fields": {"country": "country", "income": "number"},
        "levels": LEVELS,
        "score": {"points": {"thresholds": [10, 30]}},
        "max_recompute_interval": "180 days",
        "rules": [{"title": rule["id"], "category": "other", **rule} for rule in rules],
        **draw(st.sampled_from([{}, {"applies_to": {"field": "country", "equals": "NO"}}])),
    }


@dataclass
class Case:
    """A flow, the rules of the policy, the ruleset and the flow that it may ask, and entities."""

    written: Data
    rules: list[Data]
    rows: list[Row]
    ruleset: Data
    inner: Data


@st.composite
def cases(draw: Draw, *, people: bool = False) -> Case:
    """Draw a flow with entities."""
    written = draw(flows(people=people))
    return Case(written, draw(drawn_rules), draw(rows(written)), draw(rulesets()), draw(inner_flows()))


__all__ = ["POLICY_COLUMNS", "Case", "Row", "cases", "flows", "rows"]
