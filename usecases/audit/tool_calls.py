"""What programs that work for a person asked by tools: each call is an entry of the audit log."""

from collections.abc import Mapping
from typing import Any, Final

from fivefold.domain.errors import NotFoundError
from fivefold.store.ingest.entities import entity_named
from fivefold.usecases.shared.context import Context

TOOL_CALLED: Final = "tool.called"
RESOURCE_READ: Final = "resource.read"
PROMPT_READ: Final = "prompt.read"


def record_call(
    context: Context, action: str, token_id: int, details: Mapping[str, Any], entity: tuple[str, str] | None = None
) -> None:
    """Record that a tool was called, or a resource or a prompt read.

    Args:
        context: who asked.
        action: `TOOL_CALLED`, `RESOURCE_READ` or `PROMPT_READ`.
        token_id: of the token that was used; it is the subject where no entity is.
        details: what is never erased, so nothing personal.
        entity: type and identifier of the entity that was asked about; one that is not there is left out.
    """
    with context.writing() as session:
        subject: tuple[str, int] = ("token", token_id)
        if entity is not None:
            try:
                subject = ("entity", entity_named(session, context.organisation_id, *entity).id)
            except NotFoundError:
                details = {**details, "entity": "not found"}
        context.record(session, action, subject, details={**details, "token": token_id})
