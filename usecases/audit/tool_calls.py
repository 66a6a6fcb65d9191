"""What programs that work for a person asked by tools: each call is an entry of the audit log."""

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from fivefold.domain.errors import NotFoundError
from fivefold.store.ingest.entities import entity_named
from fivefold.usecases.shared.context import Context

TOOL_ASKED: Final = "tool.asked"
"""Before a tool changes something; `TOOL_CALLED` follows, with how it ended."""
TOOL_CALLED: Final = "tool.called"
RESOURCE_READ: Final = "resource.read"
PROMPT_READ: Final = "prompt.read"

MOST_CHARACTERS: Final = 300
"""Most of one argument; of a longer one its length and hash are kept."""
_IMPERSONAL: Final = frozenset({"limit", "movers", "version", "since", "until", "direction"})
"""Arguments whose meaning is never a person, if they are numbers, days or directions as well."""
_FORM: Final = re.compile(r"\d{4}-\d{2}-\d{2}|up|down")


def record_call(
    context: Context,
    action: str,
    token_id: int,
    details: Mapping[str, Any],
    entity: tuple[str, str] | None = None,
    *,
    asked: Mapping[str, Any] | None = None,
    why: str | None = None,
) -> None:
    """Record that a tool was called, or a resource or a prompt read.

    Args:
        context: who asked.
        action: `TOOL_ASKED`, `TOOL_CALLED`, `RESOURCE_READ` or `PROMPT_READ`.
        token_id: of the token that was used; it is the subject where no entity is.
        details: what is never erased, so nothing personal.
        entity: type and identifier of the entity that was asked about; one that is not there is left out.
        asked: the arguments, but for whom they are about; an erasure of the entity takes them away. Without an entity
            nothing would: those alone are kept then that cannot be of a person.
        why: something is to be changed, in the caller's words, which the erasure takes away too; without an entity they
            are left out.
    """
    with context.writing() as session:
        subject: tuple[str, int] = ("token", token_id)
        if entity is not None:
            try:
                subject = ("entity", entity_named(session, context.organisation_id, *entity).id)
            except NotFoundError:
                details = {**details, "entity": "not found"}
        given = dict(asked or {})
        if subject[0] == "entity":
            said = {name: _bounded(value) for name, value in given.items()}
            after = {**({"why": why} if why is not None else {}), **({"asked": said} if said else {})} or None
        else:
            impersonal = {name: value for name, value in given.items() if _is_impersonal(name, value)}
            after, details = None, {**details, **({"asked": impersonal} if impersonal else {})}
        context.record(session, action, subject, after=after, details={**details, "token": token_id})


def _bounded(value: Any) -> Any:
    """Return an argument as it is kept: what is no text or whole number as JSON, as the log has no floats.

    >>> _bounded("watch"), _bounded({"amount": 1.5}), _bounded("a" * 1_000)["characters"]
    ('watch', '{"amount": 1.5}', 1000)
    """
    if isinstance(value, int):
        return value
    written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    if len(written) <= MOST_CHARACTERS:
        return written
    return {"characters": len(written), "sha256": sha256(written.encode()).hexdigest()}


def _is_impersonal(name: str, value: Any) -> bool:
    """Return whether an argument says nothing of a person, whatever a model puts into it.

    >>> [_is_impersonal(*given) for given in (("limit", 20), ("since", "2026-10-01"), ("since", "Ada"))]
    [True, True, False]
    >>> [_is_impersonal("text", value) for value in (19840312, "1984-03-12")]
    [False, False]
    """
    if name not in _IMPERSONAL:
        return False
    return isinstance(value, int) or (isinstance(value, str) and _FORM.fullmatch(value) is not None)
