"""Reads documents as rulesets and policies, with errors that name the rule, the case and the line."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from fivefold.domain.errors import Finding, InvalidRulesetError
from fivefold.domain.text import count_text
from fivefold.risk.language.documents import Document, Path
from fivefold.risk.language.fields import Definition
from fivefold.risk.language.messages import nothing_after, problem_of, room_of
from fivefold.risk.language.ruleset import Ruleset

Form = TypeVar("Form", bound=BaseModel)
AnyDefinition = TypeVar("AnyDefinition", bound=Definition)

WRITTEN = {"written": True}
"""The validation context for what people wrote: dates, for one, are never bare numbers there."""

MOST_FAULTS = 500
"""The most faults that are reported: each takes a few milliseconds, and one text may have 50,000."""


def read_ruleset(text: str, source: str = "the ruleset") -> Ruleset:
    """Read a ruleset from YAML or JSON; errors as in `read_text`."""
    return read_text(Ruleset, text, source)


def read_text(form: type[AnyDefinition], text: str, source: str) -> AnyDefinition:
    """Read a ruleset or a policy from YAML or JSON.

    Raises:
        InvalidRulesetError: lists everything that does not fit the language, with its line.
    """
    return read_document(form, Document(text, source), source)


def read_stored(form: type[AnyDefinition], canonical: str) -> AnyDefinition:
    """Read a definition from its canonical form: as `read_text` does, in a fraction of the time; errors as there."""
    return read_canonical(form, canonical) or read_text(form, canonical, f"the {form.word}")


def read_canonical(form: type[Form], canonical: str) -> Form | None:
    """Read a document from its canonical form, which is JSON; None if it does not fit the form."""
    try:
        data = json.loads(canonical, parse_float=Decimal)
    except ValueError:  # the reader of documents says what is wrong
        return None
    return read_plain(form, data)


def read_plain(form: type[Form], data: Any) -> Form | None:
    """Read a part of the language from plain data, its numbers exact; None if it does not fit the form."""
    try:
        return _validated(form, data)
    except ValueError:  # as above
        return None


def _validated(form: type[Form], data: Any) -> Form:
    return form.model_validate(data, by_alias=True, by_name=False, context=WRITTEN)


def read_document(form: type[AnyDefinition], document: Document, source: str) -> AnyDefinition:
    """Convert a document to a ruleset or a policy; raises InvalidRulesetError as `read_text` does."""
    if not isinstance(document.data, dict):
        problem = f"must be a mapping that begins with `{form.word}: NAME`"
        raise InvalidRulesetError([Finding(f"the {form.word}", problem)], source)
    return validate_document(form, document, source)


def validate_document(form: type[Form], document: Document, source: str) -> Form:
    """Check a document against a form of the language.

    Raises:
        InvalidRulesetError: lists everything that does not fit, with its line.
    """
    empty = [] if not isinstance(document.data, dict) else list(_empty(document.data, ()))
    try:
        part = _validated(form, document.data)
    except ValidationError as error:
        raise InvalidRulesetError(findings_of(error, document, room_of(form)), source) from None
    if empty:
        raise InvalidRulesetError([_empty_value(path, document) for path in empty], source)
    return part


def _empty(data: Any, path: Path) -> Iterator[Path]:
    """Find the words without a value; in examples an empty field is an unknown one."""
    below = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for step, value in below:
        if value is None:
            yield (*path, step)
        elif step != "given":
            yield from _empty(value, (*path, step))


def _empty_value(path: Path, document: Document) -> Finding:
    _, line, column = document.position(path)
    return Finding(where_of(path, document.data), nothing_after(path[-1]), line, column=column)


def findings_of(error: ValidationError, document: Document, room: str) -> list[Finding]:
    """Convert pydantic's errors to findings, in the order of the document; *room* is as in `problem_of`.

    Faults beyond `MOST_FAULTS` are counted, in a finding of their own at the end.
    """
    faults = error.errors(include_url=False)
    parts = document.data if isinstance(document.data, dict) else {}
    fields, calculations = (
        list(map(str, part)) if isinstance(part := parts.get(word), dict) else [] for word in ("fields", "calculate")
    )
    places_around_faults = {fault["loc"][:length] for fault in faults for length in range(len(fault["loc"]))}
    findings = []
    for fault in faults[:MOST_FAULTS]:
        if fault["type"] == "too_short" and fault["loc"] in places_around_faults:
            continue  # its items are there, but wrong, and are reported themselves
        missing = fault["loc"][-1:] if fault["type"] == "missing" else ()
        path, line, column = document.position(fault["loc"][: -1 if missing else None], fault["input"])
        where = where_of((*path, *missing), document.data)
        findings.append(Finding(where, problem_of(fault, fields, calculations, room), line, column=column))
    rest = len(faults) - MOST_FAULTS
    listed = sorted(dict.fromkeys(findings), key=lambda finding: finding.line or 0)
    if rest <= 0:
        return listed
    more = f"has {count_text(rest, 'more fault')} than those listed here"
    return [*listed, Finding("the document", more, problems=rest)]


_ONE_OF = {
    "rules": "rule",
    "actions": "action",
    "steps": "step",
    "route": "way",
    "rows": "row",
    "cases": "case",
    "examples": "example",
    "levels": "level",
    "tiers": "tier",
    "bands": "band",
    "thresholds": "threshold",
    "versions": "version",
    "members": "member",
    "weights_by": "choice of weights",
}
"""The singular of each list's name."""


def where_of(path: tuple[str | int, ...], data: Any) -> str:
    """Name a place in a document for people.

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
        words[-1:] = [f"{_ONE_OF.get(str(before), before)} {name or step + 1}"]
    return ", ".join(words) or "the ruleset"


def _below(at: Any, step: str | int) -> Any:
    if isinstance(at, dict):
        return at.get(step)
    return at[step] if isinstance(at, list) and isinstance(step, int) and step < len(at) else None
