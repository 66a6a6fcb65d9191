"""Reports as plain JSON, without the pictures of the page: nothing that draws is loaded."""

import json
from typing import Any, Protocol

FORM = 1
"""Of the JSON; a later form that readers cannot take has another number."""


class Reportable(Protocol):
    """A backtest, a validation, a proposal: whatever gives itself as plain data."""

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain data."""
        ...


def report_json(kind: str, result: Reportable, indent: int | None = 2) -> str:
    """Write a finding as JSON, with its kind and the number of its form."""
    content = {"kind": kind, "form": FORM, **result.to_dict()}
    return json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False) + "\n"
