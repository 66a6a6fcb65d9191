"""Pydantic's errors in the words of people who write rulesets."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

from pydantic import BaseModel

from fivefold.domain.text import perhaps
from fivefold.risk.language.base import LanguageModel

_ROOMS_BEFORE = len(__name__.split(".")) - 2
OWN = __name__.rpartition(".language.")[0]
"""The package whose forms are the language of rules itself."""


def room_of(form: type[Any]) -> str:
    """Return the package, such as `fivefold.risk`, that defines a form of the language.

    >>> room_of(LanguageModel) == OWN
    True
    """
    return ".".join(form.__module__.split(".")[:_ROOMS_BEFORE])


_LOOKS_LIKE = {
    "^[a-z][a-z0-9]*(-[a-z0-9]+)*$": "names here are lower-case letters, digits and hyphens, such as cash-out",
    "^[A-Za-z_][A-Za-z0-9_]*$": "such names are letters, digits and underscores, such as opened_on",
    "^[A-Z]{3}$": "a currency is three capital letters, such as EUR",
    "^(text|number|flag|date|country)$": "a field's type is text, number, flag, date, country, [text], or "
    "{one_of: [a, b]}",
    "^text$": "only a list of text can be a field: [text]",
}
"""How text of each pattern looks."""


def nothing_after(word: int | str) -> str:
    """Describe a word without a value; YAML reads `{at_least: 20,000}` as 20 and a word 000."""
    if isinstance(word, str) and word.isdigit():
        return "is read as a word, as a comma ends a number; write 20000 for 20,000"
    return "is empty; give a value, or leave the word out where it need not stand"


def problem_of(fault: Any, fields: Iterable[str], calculations: Iterable[str] = (), room: str = OWN) -> str:
    """Describe what is wrong, and what would be right.

    Args:
        fault: one of pydantic's errors.
        fields: the names of fields that the ruleset declares.
        calculations: the names of its calculations.
        room: the package of the document's form, whose words may also be meant.
    """
    kind: str = fault["type"]
    if fault["input"] is None:
        return nothing_after(fault["loc"][-1] if fault["loc"] else "")
    if kind == "input" and isinstance(fault["input"], str):
        return _bare_name(fault, {"field": list(fields), "calculation": list(calculations)})
    if fault.get("ctx", {}).get("expected") == "'everyone'":
        return _among(fault, fields)
    write = _MESSAGES.get(kind) or next((make for end, make in _MESSAGES_BY_END if kind.endswith(end)), None)
    if kind == "extra_forbidden":
        return _unknown_word(str(fault["loc"][-1]), fields, words_of_the_language(room))
    return (write(fault) if write else _as_it_is(fault)) + _swapped(fault)


_FORMS = {
    ("largest", "largest"): "{largest: amount, n: 3}",
    ("percentile", "percentile"): "{percentile: 95, of: amount}",
    ("percentile", "of"): "{percentile: 95, of: amount}",
}
"""How an aggregate of two words is written, by its name and the word that has the other one's value."""


def _swapped(fault: Any) -> str:
    """Describe how an aggregate is written, if it has a number for its field or the reverse; empty otherwise."""
    form = _FORMS.get(tuple(fault["loc"][-2:]))
    expects_text = fault["type"] == "string_type"
    has_other = isinstance(fault["input"], int | float | Decimal) if expects_text else isinstance(fault["input"], str)
    return "" if form is None or not has_other else f"; it is written {form}"


def _among(fault: Any, fields: Iterable[str]) -> str:
    """Describe how `among` is written, if its text is not `everyone`."""
    name = fault["input"]
    if name in fields:
        return f"{_value_phrase(name)}{name_phrase('field', name)}"
    near = perhaps(name, ["everyone", *fields]) if isinstance(name, str) else ""
    return f"{_value_phrase(name)}must be everyone, or a field as {{field: segment}}{near}"


def _unknown_word(word: str, fields: Iterable[str], words: Sequence[str]) -> str:
    problem = "is not a word of the language here"
    if word in fields:
        return f"{problem}; {word} is a field: write {{field: {word}, ...}}"
    if word == "pattern":
        return f"{problem}; a pattern can only be a rule's own input"
    if word in words:
        return "is a word of the language, but has no meaning here"
    return problem + perhaps(word, words)


def _bare_name(fault: Any, there: Mapping[str, Sequence[str]]) -> str:
    """Describe how an input is written, if only its bare name is; a near name is offered."""
    name = fault["input"]
    word = next((word for word, names in there.items() if name in names), None)
    if word is not None:
        return f"{_value_phrase(name)}{name_phrase(word, name)}"
    return _no_input(fault) + perhaps(name, [each for names in there.values() for each in names])


def name_phrase(word: str, name: str) -> str:
    """Describe how a field or a calculation is written as an input.

    >>> name_phrase("field", "income")
    'income is a field: write {field: income}'
    """
    return f"{name} is a {word}: write {{{word}: {name}}}"


def _one_of(fault: Any) -> str:
    expected = fault["ctx"].get("expected") or fault["ctx"].get("expected_tags") or ""
    words = [word.strip().strip("'") for word in expected.replace(" or ", ", ").split(", ")]
    value = fault["ctx"].get("tag", fault["input"])
    if words == ["present", "absent"]:
        near = perhaps(value, words, cutoff=0.6)
        return f"{_value_phrase(value)}must be present, absent, or a comparison such as {{equals: ...}}{near}"
    return f"{_value_phrase(value)}must be one of {', '.join(words)}" + perhaps(value, words, cutoff=0.6)


def _looks_like(fault: Any) -> str:
    pattern = fault["ctx"]["pattern"]
    words = pattern.removeprefix("^(").removesuffix(")$").split("|") if pattern.startswith("^(") else ()
    form = _LOOKS_LIKE.get(pattern, "is written in another form")
    place = fault["loc"]
    if place[-1:] == ("calculation",) or (place[:1] == ("calculate",) and place[-1:] == ("[key]",)):
        form = form.replace("names of fields", "names of calculations").replace("opened_on", "cash_share")
    return f"{_value_phrase(fault['input'])}{form}{perhaps(fault['input'], words)}"


def _too_few(fault: Any) -> str:
    least, most = fault["ctx"].get("min_length"), fault["ctx"].get("max_length")
    bound = f"at least {least}" if fault["type"] == "too_short" else f"at most {most}"
    return f"has {fault['ctx']['actual_length']}; there must be {bound}"


def _out_of_range(fault: Any) -> str:
    sign, bound = next((sign, fault["ctx"][sign]) for sign in ("ge", "gt", "le", "lt") if sign in fault["ctx"])
    relation = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}[sign]
    return f"{_value_phrase(fault['input'])}must be {relation} {bound}"


def _no_input(fault: Any) -> str:
    """Describe what an input must be, and add the word that one of its keys was probably meant to be."""
    value = fault["input"] if isinstance(fault["input"], dict) else {}
    words = str(fault["msg"]).partition(" one of the words ")[2].split(", ")
    return _as_it_is(fault) + next(filter(None, (perhaps(key, words) for key in value)), "")


def _as_it_is(fault: Any) -> str:
    return str(fault["msg"]).removeprefix("Value error, ")


def _text(fault: Any) -> str:
    if tuple(fault["loc"][-2:]) in _FORMS:
        return f"{_value_phrase(fault['input'])}must name a field"
    return f"{_value_phrase(fault['input'])}must be text; in quotes, where it looks like a number: '12'"


_MESSAGES: dict[str, Callable[[Any], str]] = {
    **dict.fromkeys(("input", "step", "action"), _no_input),
    "missing": lambda _: "is missing",
    "literal_error": _one_of,
    "union_tag_invalid": _one_of,
    "union_tag_not_found": lambda fault: f"lacks the word {fault['ctx']['discriminator']}",
    "string_pattern_mismatch": _looks_like,
    "too_short": _too_few,
    "too_long": _too_few,
    "string_type": _text,
    "string_too_short": lambda _: "must not be empty",
    "string_too_long": lambda fault: f"is too long; at most {fault['ctx']['max_length']} characters",
    "tuple_type": lambda fault: f"{_value_phrase(fault['input'])}must be a list, such as [a, b]",
    "bool_type": lambda fault: f"{_value_phrase(fault['input'])}must be true or false",
    "bool_parsing": lambda fault: f"{_value_phrase(fault['input'])}must be true or false",
    "model_type": lambda fault: f"{_value_phrase(fault['input'])}must be words with values, such as {{word: value}}",
    "dict_type": lambda fault: f"{_value_phrase(fault['input'])}must be words with values, such as {{word: value}}",
}
_MESSAGES_BY_END: tuple[tuple[str, Callable[[Any], str]], ...] = (
    ("_than_equal", _out_of_range),
    ("_than", _out_of_range),
    ("int_type", lambda fault: f"{_value_phrase(fault['input'])}must be a whole number"),
    ("int_parsing", lambda fault: f"{_value_phrase(fault['input'])}must be a whole number"),
    ("int_from_float", lambda fault: f"{_value_phrase(fault['input'])}must be a whole number"),
)


def _value_phrase(value: Any) -> str:
    """Quote the written value, if it is short."""
    if isinstance(value, bool):
        return f"is {str(value).lower()}; "
    if isinstance(value, str):
        return f"is {value[:80]!r}; "
    return "" if isinstance(value, dict | list | tuple | BaseModel) else f"is {value}; "


@cache
def words_of_the_language(room: str = OWN) -> tuple[str, ...]:
    """Collect every word that can precede a colon in rulesets, policies and lists, and in documents of a *room*.

    Words of other rooms are left out: which ones are known depends on the modules imported so far.

    >>> {"points", "floor", "when", "not"} <= set(words_of_the_language())
    True
    """
    forms, words = [LanguageModel], set()
    while forms:
        form = forms.pop()
        forms += form.__subclasses__()
        if getattr(form, "in_files", True) and room_of(form) in {OWN, room}:
            words |= {field.alias or name for name, field in form.model_fields.items()}
    return tuple(sorted(words))
