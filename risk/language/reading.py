"""From a document to a ruleset, with errors that name the rule, the case and the line."""

import hashlib
import json
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from domain.errors import Finding, RulesetNotValid
from risk.language.documents import Document
from risk.language.numbers import plain
from risk.language.ruleset import Ruleset


def read_ruleset(text: str, source: str = "the ruleset") -> Ruleset:
    """Read a ruleset from YAML or JSON.

    Raises:
        RulesetNotValid: everything that does not fit the language, each with its line.
    """
    document = Document(text, source)
    if not isinstance(document.data, dict):
        raise RulesetNotValid([Finding("the ruleset", "must be a mapping that begins with `ruleset: NAME`")], source)
    try:
        return Ruleset.model_validate(document.data)
    except ValidationError as error:
        raise RulesetNotValid(findings_of(error, document), source) from None


def findings_of(error: ValidationError, document: Document) -> list[Finding]:
    """Write what pydantic found for people, in the order of the document."""
    findings = []
    for fault in error.errors(include_url=False):
        if fault["type"] == "too_short" and fault["input"]:
            continue  # its items are there, but none was right: they are named themselves
        path, line = document.place(fault["loc"])
        extra = fault["loc"][-1:] if fault["type"] == "missing" else ()
        findings.append(Finding(where_of((*path, *extra), document.data), _problem(fault), line))
    return sorted(set(findings), key=lambda finding: finding.line or 0)


def where_of(path: tuple[str | int, ...], data: Any) -> str:
    """Name a place as people look for it.

    >>> where_of(("rules", 0, "cases", 1, "points"), {"rules": [{"id": "cash-out"}]})
    'rule cash-out, case 2, points'
    """
    words: list[str] = []
    at: Any = data
    for number, step in enumerate(path):
        before = path[number - 1] if number else ""
        at = _below(at, step)
        if not isinstance(step, int):
            words.append(str(step))
            continue
        name = (at.get("id") or at.get("name")) if isinstance(at, dict) else None
        words[-1:] = [f"{str(before).removesuffix('s')} {name or step + 1}"]
    return ", ".join(words) or "the ruleset"


def _below(at: Any, step: str | int) -> Any:
    if isinstance(at, dict):
        return at.get(step)
    return at[step] if isinstance(at, list) and isinstance(step, int) and step < len(at) else None


def _problem(fault: Any) -> str:
    message: str = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "missing":
        return "is missing"
    if fault["type"] == "extra_forbidden":
        return "is not a word of the language here"
    given = fault.get("input")
    shown = f"; it is {given!r}" if isinstance(given, str | int | float | bool) and repr(given) not in message else ""
    return message[:1].lower() + message[1:] + shown


def canonical_json(ruleset: Ruleset) -> str:
    """Write a ruleset in its one canonical form: defaults left out, keys sorted, numbers plain.

    Order of keys, comments, spelled-out defaults and the form of numbers (31 or 31.0) make no difference.
    """
    content = ruleset.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    return json.dumps(_plain(content), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(below) for below in value]
    return plain(value) if isinstance(value, Decimal) else value


def content_hash(ruleset: Ruleset) -> str:
    """Give the SHA-256 of the canonical form, in hexadecimal."""
    return hashlib.sha256(canonical_json(ruleset).encode()).hexdigest()
