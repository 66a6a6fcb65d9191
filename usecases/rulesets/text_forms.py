"""Forms that write into the text of a ruleset: a rule, a case, thresholds, tiers, weights.

The rest of the text stays as it is, comments too.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final, get_args

from fivefold.domain.errors import ConfigError, InvalidRulesetError
from fivefold.domain.text import json_in_sight
from fivefold.risk.language.documents import Document, Path
from fivefold.risk.language.ruleset import Category

OPERATORS: Final[Mapping[str, str]] = {
    "equals": "is",
    "not_equals": "is not",
    "in": "is one of (with commas)",
    "not_in": "is none of (with commas)",
    "at_least": "is at least",
    "above": "is above",
    "at_most": "is at most",
    "below": "is below",
    "in_list": "is in the list named",
    "contains": "contains the text",
}
"""Comparisons that the forms offer, in words."""
CATEGORIES: Final[tuple[str, ...]] = get_args(Category)
"""The families of risk factors that a rule is of."""
_CUTS: Final[tuple[tuple[str, ...], ...]] = (("score", "points", "thresholds"), ("score", "weighted", "bands"))
_TIER_WORDS: Final[Mapping[str, str]] = {"title": "title", "least": "min", "most": "max", "level": "level"}
_SEVERAL = frozenset({"in", "not_in"})


@dataclass(frozen=True, kw_only=True)
class TierForm:
    """A named range of totals as it is written, both ends included; `least` or `most` is empty at an open end."""

    title: str
    least: str
    most: str
    level: str


@dataclass(frozen=True, kw_only=True)
class Outline:
    """The choices that the forms of a text offer; all empty if the text cannot be read.

    Attributes:
        fields: names and types of the entity's fields.
        rules: ids and titles of the rules that have an input of their own.
        thresholds: the thresholds as written, or the bands of a weighted score; None if the score has neither.
        tiers: the tiers of a score by tiers; empty for another score.
        weights: the weights of a weighted score, by the name of the column, as lines of a rule's id and its percent.
    """

    fields: Mapping[str, Any]
    levels: tuple[str, ...]
    rules: Mapping[str, str]
    thresholds: str | None
    tiers: tuple[TierForm, ...] = ()
    weights: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CaseForm:
    """IF the value compares like this THEN points, and perhaps a floor: a level below which the entity cannot be."""

    operator: str
    value: str
    points: str
    floor: str = ""


@dataclass(frozen=True, kw_only=True)
class RuleForm:
    """A rule about one field, with its first case."""

    id: str
    title: str
    category: str
    rationale: str
    field: str
    case: CaseForm


def outline_of(text: str) -> Outline:
    """Read what the forms choose from; other parts of the text may have faults."""
    try:
        data = Document(text).data
    except InvalidRulesetError:
        data = None
    parts = data if isinstance(data, dict) else {}
    fields, levels, rules = parts.get("fields"), parts.get("levels"), parts.get("rules")
    listed = [rule for rule in rules if isinstance(rule, dict)] if isinstance(rules, list) else []
    thresholds = next((cuts for path in _CUTS if (cuts := _below(parts, *path)) is not None), None)
    tiers, weights = _below(parts, "score", "tiers"), _below(parts, "score", "weighted", "weights")
    return Outline(
        fields=fields if isinstance(fields, dict) else {},
        levels=tuple(map(str, levels)) if isinstance(levels, list) else (),
        rules={str(rule.get("id")): str(rule.get("title", rule.get("id"))) for rule in listed if "input" in rule},
        thresholds=", ".join(map(str, thresholds)) if isinstance(thresholds, list) else None,
        tiers=tuple(map(_tier_form, tiers)) if isinstance(tiers, list) else (),
        weights={str(name): _weight_lines(each) for name, each in weights.items()} if isinstance(weights, dict) else {},
    )


def _tier_form(tier: Any) -> TierForm:
    parts = tier if isinstance(tier, dict) else {}
    words = {word: "" if parts.get(name) is None else str(parts[name]) for word, name in _TIER_WORDS.items()}
    return TierForm(**words)


def _weight_lines(column: Any) -> str:
    return "\n".join(f"{rule}: {weight}" for rule, weight in column.items()) if isinstance(column, dict) else ""


def _below(data: Any, *steps: str) -> Any:
    for step in steps:
        data = data.get(step) if isinstance(data, dict) else None
    return data


def with_rule(text: str, form: RuleForm) -> str:
    """Add a rule behind the others.

    Raises:
        InvalidRulesetError: the text is neither YAML nor JSON.
        ConfigError: the text has no list of rules, no such field, or that rule already; or a value is invalid.
    """
    outline = outline_of(text)
    if form.field not in outline.fields:
        raise ConfigError(f"there is no field {form.field!r}; there are {', '.join(outline.fields) or 'none'}")
    if form.id in _ids(Document(text)):
        raise ConfigError(f"there is a rule {form.id!r} already")
    rule = {
        "id": form.id,
        "title": form.title,
        "category": form.category,
        "rationale": form.rationale,
        "input": {"field": form.field},
        "cases": [_case(form.case, outline.fields[form.field])],
    }
    return _with_item(text, ("rules",), {name: value for name, value in rule.items() if value})


def with_case(text: str, rule: str, form: CaseForm) -> str:
    """Add a case behind the others of a rule, so that it is asked last; errors as `with_rule`."""
    read = Document(text)
    ids = _ids(read)
    if rule not in ids:
        raise ConfigError(f"there is no rule {rule!r} in the text")
    place = ids.index(rule)
    name = _below(read.data["rules"][place], "input", "field")
    return _with_item(text, ("rules", place, "cases"), _case(form, outline_of(text).fields.get(name)))


def with_thresholds(text: str, thresholds: str) -> str:
    """Write other thresholds or bands, with commas between them; errors as `with_rule`."""
    read = Document(text)
    span = next((place for path in _CUTS if (place := read.span(path)) is not None), None)
    if span is None:
        raise ConfigError("the score of the text has no thresholds")
    numbers = ", ".join(_number(part, "thresholds") for part in thresholds.split(","))
    return f"{text[: span[0]]}[{numbers}]{text[span[1] :]}"


def with_tiers(text: str, tiers: Sequence[TierForm]) -> str:
    """Rewrite the tiers of a text, and add further ones behind them; errors as `with_rule`.

    An unchanged tier stays as it is written. ConfigError if there are fewer tiers than the text has.
    """
    read, present = Document(text), outline_of(text).tiers
    if not present:
        raise ConfigError("the score of the text has no tiers")
    if len(tiers) < len(present):
        raise ConfigError(f"the text has {len(present)} tiers, and {len(tiers)} were given; take one out in the text")
    written = [_tier(tier) for tier in tiers]
    for number in reversed(range(len(present))):  # so that the positions of earlier tiers stay right
        span = read.span(("score", "tiers", number))
        if span is not None and tiers[number] != present[number]:
            text = f"{text[: span[0]]}{_in_brackets(written[number])}{text[span[1] :]}"
    for tier in written[len(present) :]:
        text = _with_item(text, ("score", "tiers"), tier)
    return text


def _tier(form: TierForm) -> dict[str, Any]:
    if not form.title or not form.level:
        raise ConfigError(f"a tier needs a title and a level: {form.title or 'no title'}, {form.level or 'no level'}")
    ends = {"min": form.least, "max": form.most}
    numbers = {name: _Exact(_number(end, f"the tier {form.title}, {name}")) for name, end in ends.items() if end}
    return {"title": form.title, **numbers, "level": form.level}


def with_weights(text: str, column: str, lines: str) -> str:
    """Write other weights of a column, from lines of a rule's id, a colon and percent; errors as `with_rule`.

    If the rules are the same, only weights that changed are written; else the whole column.
    """
    path = ("score", "weighted", "weights", column)
    read = Document(text)
    present, span = _below(read.data, *path), read.span(path)
    if not isinstance(present, dict) or span is None:
        raise ConfigError(f"the text has no column of weights {column!r}")
    weights = _weights(lines, column, _ids(read))
    if list(weights) != list(present):
        whole = ", ".join(f"{_in_brackets(rule)}: {weight}" for rule, weight in weights.items())
        return f"{text[: span[0]]}{{{whole}}}{text[span[1] :]}"
    for rule in reversed(present):
        place = read.span((*path, rule))
        if place is not None and Decimal(str(present[rule])) != Decimal(weights[rule]):
            text = f"{text[: place[0]]}{weights[rule]}{text[place[1] :]}"
    return text


def _weights(lines: str, column: str, ids: Sequence[Any]) -> dict[str, str]:
    weights = {}
    for line in filter(str.strip, lines.splitlines()):
        rule, _, weight = (part.strip() for part in line.partition(":"))
        if rule not in ids:
            raise ConfigError(f"there is no rule {rule!r} in the text; write a line as cash-out: 40")
        if rule in weights:
            raise ConfigError(f"the weights of {column} have the rule {rule} twice")
        weights[rule] = _number(weight, f"the weight of {rule}")
    if not weights:
        raise ConfigError(f"the weights of {column} are empty")
    return weights


def _ids(read: Document) -> list[Any]:
    rules = read.data.get("rules") if isinstance(read.data, dict) else None
    return [rule.get("id") if isinstance(rule, dict) else None for rule in rules] if isinstance(rules, list) else []


def _case(form: CaseForm, kind: Any) -> dict[str, Any]:
    if form.operator not in OPERATORS:
        raise ConfigError(f"{form.operator!r} is not a comparison; there are {', '.join(OPERATORS)}")
    several = form.operator in _SEVERAL
    values = [part.strip() for part in form.value.split(",")] if several else [form.value.strip()]
    written = [_value(part, "text" if form.operator in {"in_list", "contains"} else kind) for part in values]
    case = {
        "when": {form.operator: written if several else written[0]},
        "points": _Exact(_number(form.points, "points")),
    }
    return case | ({"floor": form.floor} if form.floor else {})


class _Exact(str):
    """A number or another YAML word that is written without quotes."""

    __slots__ = ()


def _value(written: str, kind: Any) -> str:
    if not written:
        raise ConfigError("the value is empty")
    if kind == "number":
        return _Exact(_number(written, "the value"))
    if kind == "flag":
        if written not in {"true", "false"}:
            raise ConfigError(f"the value is {written!r}; it must be true or false")
        return _Exact(written)
    return written


def _number(written: str, what: str) -> str:
    try:
        number = Decimal(written.strip())
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise ConfigError(f"{what}: {written.strip()!r} is not a number; write one as 10000 or 0.5")
    return f"{number:f}"


def _with_item(text: str, path: Path, item: Mapping[str, Any]) -> str:
    """Write an item behind the others of a list, in the style of the list."""
    end = Document(text).list_end(path)
    if end is None:
        raise ConfigError(f"the text has no list {path[-1]} to write into; begin one with `{path[-1]}:` and one item")
    if end.column is None:
        before = "" if end.is_empty else ", "
        return f"{text[: end.index]}{before}{_in_brackets(item)}{text[end.index :]}"
    lines = "".join(f"{' ' * end.column}{line}\n" for line in _lines(item))
    index = text.find("\n", end.index) + 1
    return f"{text[:index]}{lines}{text[index:]}" if index else f"{text}\n{lines}"


def _lines(item: Mapping[str, Any]) -> list[str]:
    """Return the lines of a list item with a dash: a line for each key, and for each key of a case."""
    lines: list[str] = []
    for name, value in item.items():
        dash = "  " if lines else "- "
        if name == "cases":
            lines += [f"{dash}cases:", *(f"    {line}" for line in _case_lines(value))]
        else:
            lines.append(f"{dash}{name}: {_in_brackets(value)}")
    return lines


def _case_lines(cases: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"{'  ' if place else '- '}{name}: {_in_brackets(value)}"
        for case in cases
        for place, (name, value) in enumerate(case.items())
    ]


def _in_brackets(value: Any) -> str:
    """Return a value as JSON, which YAML reads as well.

    >>> _in_brackets({"when": {"equals": "KP"}, "points": _Exact("0.50")})
    '{"when": {"equals": "KP"}, "points": 0.50}'
    """
    match value:
        case _Exact():
            return str(value)
        case dict():
            return f"{{{', '.join(f'{json.dumps(name)}: {_in_brackets(each)}' for name, each in value.items())}}}"
        case list():
            return f"[{', '.join(map(_in_brackets, value))}]"
        case _:
            return json_in_sight(value)
