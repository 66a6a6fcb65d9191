"""Tool calls by programs that work for a person: each call is an entry of the audit log."""

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from fivefold.domain.errors import NotFoundError
from fivefold.store.ingest.entities import entity_named
from fivefold.usecases.shared.context import Context

TOOL_ASKED: Final = "tool.asked"
"""Written before a tool changes something; `TOOL_CALLED` follows, with the result."""
TOOL_CALLED: Final = "tool.called"
RESOURCE_READ: Final = "resource.read"
PROMPT_READ: Final = "prompt.read"

MOST_CHARACTERS: Final = 300
"""The most characters of one argument; of a longer one its length and hash are stored."""
_IMPERSONAL: Final = frozenset({"limit", "movers", "version", "since", "until", "direction"})
"""Arguments that never identify a person, provided that they are numbers, days or directions."""
_FORM: Final = re.compile(r"\d{4}-\d{2}-\d{2}|up|down")


def record_call(
    context: Context,
    action: str,
    token_id: int,
    details: Mapping[str, Any],
    entity: tuple[str, str] | None = None,
    *,
    arguments: Mapping[str, Any] | None = None,
    why: str | None = None,
) -> None:
    """Record that a tool was called, or a resource or a prompt read.

    Args:
        context: who called.
        action: `TOOL_ASKED`, `TOOL_CALLED`, `RESOURCE_READ` or `PROMPT_READ`.
        token_id: of the token that was used; it is the subject if no entity is.
        details: never erased, so nothing personal.
        entity: type and identifier of the entity in question; one that does not exist is left out.
        arguments: those of the call, except the entity; an erasure of the entity removes them. Without an entity they
            could not be erased: then only those are stored that cannot identify a person.
        why: the reason for a change, in the caller's words, which the erasure removes too; without an entity it is left
            out.
    """
    with context.writing() as session:
        subject: tuple[str, int] = ("token", token_id)
        if entity is not None:
            try:
                subject = ("entity", entity_named(session, context.organisation_id, *entity).id)
            except NotFoundError:
                details = {**details, "entity": "not found"}
        arguments = arguments or {}
        if subject[0] == "entity":
            stored_arguments = {name: _bounded(value) for name, value in arguments.items()}
            after = {
                **({"why": why} if why is not None else {}),
                **({"asked": stored_arguments} if stored_arguments else {}),
            } or None
        else:
            impersonal = {name: value for name, value in arguments.items() if _is_impersonal(name, value)}
            after, details = None, {**details, **({"asked": impersonal} if impersonal else {})}
        context.record(session, action, subject, after=after, details={**details, "token": token_id})


def _bounded(value: Any) -> Any:
    """Return an argument for storage: anything but text and whole numbers as JSON, as the log has no floats.

    >>> _bounded("watch"), _bounded({"amount": 1.5}), _bounded("a" * 1_000)["characters"]
    ('watch', '{"amount": 1.5}', 1000)
    """
    if isinstance(value, int):
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    if len(text) <= MOST_CHARACTERS:
        return text
    return {"characters": len(text), "sha256": sha256(text.encode()).hexdigest()}


def _is_impersonal(name: str, value: Any) -> bool:
    """Return whether an argument identifies no person, whatever a model puts into it.

    >>> [_is_impersonal(*given) for given in (("limit", 20), ("since", "2026-10-01"), ("since", "Ada"))]
    [True, True, False]
    >>> [_is_impersonal("text", value) for value in (19840312, "1984-03-12")]
    [False, False]
    """
    if name not in _IMPERSONAL:
        return False
    return isinstance(value, int) or (isinstance(value, str) and _FORM.fullmatch(value) is not None)
