"""What a run comes to by the book: the document alone, exact fractions, and None for what is unknown."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from tests.risk.engine.policies_small import decision_of, outcome_of

Data = dict[str, Any]
Truth = bool | None
_SUBJECTS = ("level", "value", "tag", "field", "sum", "mean", "calculation", "step", "output")


@dataclass
class BookRun:
    """A run by the book.

    Attributes:
        passed: the steps in their order, each with what it came to.
        status: ended, failed, waits, or asks.
        outputs: by step and name; of those that were not passed nothing.
        calculated: by name; None where unknown.
        unreadable: the calculations with a part that could not be read.
        amounts: of limits, in cents, by action; None where unknown.
        actions: that follow.
    """

    passed: list[tuple[str, str]] = field(default_factory=list)
    status: str = ""
    outputs: dict[tuple[str, str], Any] = field(default_factory=dict)
    calculated: dict[str, Fraction | None] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    amounts: dict[str, int | None] = field(default_factory=dict)
    actions: list[str] = field(default_factory=list)


class Book:
    """Runs one entity through a flow as the documentation says."""

    def __init__(
        self,
        written: Data,
        facts: Data,
        answers: dict[str, str | None],
        rules: list[Data],
        policy: Sequence[Any],
        *,
        ruleset: Data,
        inner: Data,
    ) -> None:
        self.written, self.facts, self.answers = written, facts, answers
        self.outcomes: dict[str, Data | str | None] = {}
        self.rules, self.policy_row = rules, tuple(policy)
        self.ruleset, self.inner = ruleset, inner
        self.found = BookRun()

    def run(self) -> BookRun:
        """Follow the steps to where the run stops."""
        steps = {step["id"]: number for number, step in enumerate(self.written["steps"])}
        at: int | None = 0
        while at is not None:
            step = self.written["steps"][at]
            word, to = self._step(step)
            self.found.passed.append((step["id"], word))
            if to in {"ended", "failed", "waits", "asks"}:
                self.found.status, at = to, None
            else:
                at = at + 1 if to == "next" else steps[to]
        if self.found.status == "ended":
            self.found.actions = list(step["end"])
        if self.found.status == "failed":
            self.found.actions = list(self.written["on_failure"])
        return self.found

    def _step(self, step: Data) -> tuple[str, str]:  # noqa: PLR0911 (one for each kind of step)
        """Give what a step comes to, and where it leads."""
        after = step.get("then", "next")
        if "calculate" in step:
            for name, formula in step["calculate"].items():
                self.found.calculated[name] = self._calculate(name, formula)
            return "calculated", after
        if "route" in step:
            word, number = self._first([way["when"] for way in step["route"]])
            if word == "holds":
                return f"holds {number}", step["route"][number]["to"]
            return (f"unknown {number}", step.get("on_unknown", "failed")) if word == "unknown" else (word, step[word])
        if "table" in step:
            return self._table(step["id"], step["table"], after)
        if "rules" in step:
            return self._policy(step, after)
        if "data" in step or "model" in step:
            return self._came(step, after)
        if "person" in step:
            return self._answered(step)
        return self._end(step) if "end" in step else self._others(step, after)

    def _answered(self, step: Data) -> tuple[str, str]:
        answer = self.answers.get(step["id"])
        self.found.outputs[step["id"], "answer"] = None if answer == "nobody" else answer
        if answer is None:
            return "waits", "waits"
        person = step["person"]
        return (answer, person["otherwise"] if answer == "nobody" else person["answers"][answer])

    def _came(self, step: Data, after: str) -> tuple[str, str]:
        """Take what came back; one value that is not what is declared, and nothing of it can be used."""
        came, gives = self.outcomes.get(step["id"]), step.get("data", step.get("model"))["gives"]
        if came is None:
            return "asks", "asks"
        if isinstance(came, str) or not all(_fits(gives.get(name), value) for name, value in came.items()):
            return "nothing came", step.get("on_unknown", "failed")
        for name, value in came.items():
            self.found.outputs[step["id"], name] = Fraction(value) if gives[name] in ("number", "money") else value
        return "came", after

    def _policy(self, step: Data, after: str) -> tuple[str, str]:
        if "policy" not in step["rules"]:
            return self._others(step, after)
        action, decided = decision_of(self.rules, "first", self.policy_row)
        if self._could_change(action):
            return "undecided", step.get("on_unknown", "failed")
        self.found.outputs[step["id"], "action"] = action
        self.found.outputs[step["id"], "decided_by"] = None if decided is None else f"r{decided}"
        return "asked", after

    def _others(self, step: Data, after: str) -> tuple[str, str]:
        word, given = self._asked(step)
        self.found.outputs |= {(step["id"], name): value for name, value in given.items()}
        return word, after if given else step.get("on_unknown", "failed")

    def _asked(self, step: Data) -> tuple[str, Data]:
        """Ask the ruleset, the value or the other flow: what it came to, and what it gives; nothing where unknown."""
        if "value" in step:
            if self.facts["score"] is None:
                return "no value", {}
            names = {"score": "score", "expected_value": "worth"}
            names |= {"expected_value_low": "worth_low", "expected_value_high": "worth_high"}
            return "worth", {**{name: self._number(fact) for name, fact in names.items()}, "segment": None}
        if "flow" in step:
            others = {"ruleset": self.ruleset, "inner": self.inner}
            run = Book(self.inner, self.facts, {}, self.rules, self.policy_row, **others).run()
            return ("came", {"ends": run.passed[-1][0]}) if run.status == "ended" else ("failed", {})
        if "applies_to" in self.ruleset and self.facts["country"] != "NO":
            return "undetermined" if self.facts["country"] is None else "not applicable", {}
        if self.facts["problem"] is not None:
            return "failed", {}
        income, known = self.ruleset["rules"]
        [case], value = income["cases"], self._number("income")
        total = Fraction(income["on_unknown"]["points"])
        if value is not None:
            total = Fraction(case["points"]) if value > Fraction(case["when"]["above"]) else Fraction(0)
        total += Fraction(known["cases"][0]["points"]) if self.facts["known"] else 0
        return "a level", {"level": 1 + (total >= 10) + (total >= 30), "total": total}

    def _could_change(self, action: str) -> bool:
        """Tell whether the policy would take another action, if one of the rules that are unknown held."""
        for number, rule in enumerate(self.rules):
            if outcome_of(rule, self.policy_row)[0] == "unknown" and "on_unknown" not in rule:
                held = {
                    "when": {"any": [{"level": "in_force", "is": "present"}, {"level": "in_force", "is": "absent"}]}
                }
                others = [
                    held | {"action": rule["action"]} if place == number else each
                    for place, each in enumerate(self.rules)
                ]
                if decision_of(others, "first", self.policy_row)[0] != action:
                    return True
        return False

    def _table(self, own: str, table: Data, after: str) -> tuple[str, str]:
        word, number = self._first([row["when"] for row in table["rows"]])
        if word == "unknown" and "on_unknown" not in table:
            return f"unknown {number}", "failed"
        given = {"holds": table["rows"][number]["give"], "otherwise": table["otherwise"]}.get(word)
        for name, value in (table["on_unknown"] if given is None else given).items():
            is_number = table["gives"][name] in {"number", "money"}
            self.found.outputs[own, name] = Fraction(value) if is_number else value
        return word if word == "otherwise" else f"{word} {number}", after

    def _first(self, conditions: list[Data]) -> tuple[str, int]:
        """Find the first that holds; the first that is unknown, where it comes before; else none."""
        for number, condition in enumerate(conditions):
            truth = self.truth(condition)
            if truth is None:
                return "unknown", number
            if truth:
                return "holds", number
        return "otherwise", 0

    def _end(self, step: Data) -> tuple[str, str]:
        failed = False
        for name in step["end"]:
            action = next(each for each in self.written["actions"] if each["id"] == name)
            if "limit" not in action:
                continue
            wanted = action["amount"]
            amount = self.value(wanted) if isinstance(wanted, dict) else Fraction(wanted)
            least, most = (Fraction(end) * 100 for end in action["between"])
            cents = None if amount is None else min(max(round(amount * 100), least), most)
            self.found.amounts[name] = None if cents is None else int(cents)
            failed |= cents is None
        if failed:
            self.found.amounts.clear()  # no limit is set, none of them
            return "unknown amount", "failed"
        return "ended", "ended"

    def value(self, of: Data) -> Any:  # noqa: PLR0911 (one for each kind of input)
        """Give what an input is: money in its main unit, a level as its number; None where unknown."""
        if "calculation" in of:
            return self.found.calculated[of["calculation"]]
        if "step" in of:
            return self.found.outputs.get((of["step"], of["output"]))
        if "mean" in of:
            total, count = self._number("sum"), self._number("count")
            return total / 100 / count if total is not None and count else None
        if "sum" in of:
            total = self._number("sum")
            return None if total is None else total / 100
        if "value" in of:
            return self._number("score" if of["value"] == "score" else "worth")
        if "level" in of:
            return self.facts["level"]
        if "tag" in of:
            return self.facts["known"]
        return self._number("income") if of["field"] == "income" else self.facts["country"]

    def _number(self, name: str) -> Fraction | None:
        value = self.facts[name]
        return None if value is None else Fraction(str(value))

    def truth(self, condition: Data) -> Truth:
        """Evaluate a condition in three values."""
        if "all" in condition:
            parts = [self.truth(part) for part in condition["all"]]
            return False if False in parts else None if None in parts else True
        if "any" in condition:
            parts = [self.truth(part) for part in condition["any"]]
            return True if True in parts else None if None in parts else False
        if "not" in condition:
            part = self.truth(condition["not"])
            return None if part is None else not part
        value = self.value(condition)
        word = next(word for word in condition if word not in _SUBJECTS)
        wanted = condition[word]
        if word == "is":
            return (value if "tag" in condition else value is not None) == (wanted == "present")
        if isinstance(wanted, dict):
            wanted = self.value(wanted)
        if value is None or wanted is None:
            return None
        if wanted in self.written["levels"]:
            wanted = self.written["levels"].index(wanted) + 1
        elif isinstance(value, Fraction):
            wanted = Fraction(wanted)
        return _compared(word, value, wanted)

    def _calculate(self, name: str, formula: Data) -> Fraction | None:
        word = next(each for each in formula if each not in {"unit", "from", "to", "decimals"})
        written = formula[word] if isinstance(formula[word], list) else [formula[word]]
        parts = [self.value(part) if isinstance(part, dict) else Fraction(part) for part in written]
        for part in written:
            is_wrong = isinstance(part, dict) and (
                (part.get("field") == "income" and self.facts["problem"] is not None)
                or part.get("calculation") in self.found.unreadable
            )
            if is_wrong:
                self.found.unreadable.add(name)
        known = [part for part in parts if part is not None]
        return None if len(known) < len(parts) else _operation(word, formula, known)


def _fits(kind: Any, value: Any) -> bool:
    """Tell whether a value is one of the kind; of the money that is drawn the smallest unit is a cent."""
    if isinstance(kind, dict):
        return value in kind["one_of"]
    if kind == "flag":
        return isinstance(value, bool)
    if kind == "text":
        return isinstance(value, str) and "\x00" not in value and "\ud800" not in value
    if isinstance(value, str | bool) or kind is None or abs(value) >= 10**15:
        return False
    return kind == "number" or Fraction(value) * 100 % 1 == 0


def _compared(word: str, value: Any, wanted: Any) -> bool:
    if word in {"equals", "not_equals"}:
        return bool(value == wanted) == (word == "equals")
    if word == "in":
        return value in wanted
    return bool(
        {
            "above": value > wanted,
            "at_least": value >= wanted,
            "below": value < wanted,
            "at_most": value <= wanted,
        }[word]
    )


def _operation(word: str, formula: Data, parts: list[Fraction]) -> Fraction | None:
    first, last = parts[0], parts[-1]
    if word == "divide":
        return first / last if last else None
    if word == "clamp":
        return min(max(first, Fraction(formula["from"])), Fraction(formula["to"]))
    if word == "round":
        return Fraction(round(first, formula["decimals"]))
    plain = {"add": first + last, "subtract": first - last, "multiply": first * last, "absolute": abs(first)}
    return {**plain, "of": first, "least_of": min(parts), "greatest_of": max(parts)}[word]
