"""What programs that work for a person asked by tools: each call is an entry of the audit log."""

from collections.abc import Mapping
from typing import Any, Final

from fivefold.domain.errors import NotFoundError
from fivefold.store.ingest.entities import entity_named
from fivefold.usecases.shared.context import Context

TOOL_ASKED: Final = "tool.asked"
"""Before a tool changes something; `TOOL_CALLED` follows, with how it ended."""
TOOL_CALLED: Final = "tool.called"
RESOURCE_READ: Final = "resource.read"
PROMPT_READ: Final = "prompt.read"


def record_call(
    context: Context,
    action: str,
    token_id: int,
    details: Mapping[str, Any],
    entity: tuple[str, str] | None = None,
    why: str | None = None,
) -> None:
    """Record that a tool was called, or a resource or a prompt read.

    Args:
        context: who asked.
        action: `TOOL_ASKED`, `TOOL_CALLED`, `RESOURCE_READ` or `PROMPT_READ`.
        token_id: of the token that was used; it is the subject where no entity is.
        details: what is never erased, so nothing personal.
        entity: type and identifier of the entity that was asked about; one that is not there is left out.
        why: something is to be changed, in the caller's words, which an erasure of the entity takes away; without an
            entity they are left out, as nothing would.
    """
    with context.writing() as session:
        subject: tuple[str, int] = ("token", token_id)
        if entity is not None:
            try:
                subject = ("entity", entity_named(session, context.organisation_id, *entity).id)
            except NotFoundError:
                details = {**details, "entity": "not found"}
        after = {"why": why} if why is not None and subject[0] == "entity" else None
        context.record(session, action, subject, after=after, details={**details, "token": token_id})
