"""The one canonical form of a part of a ruleset, for hashes and comparisons."""

import json
from decimal import Decimal
from typing import Any

from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.numbers import json_number


def canonical_form(part: LanguageModel) -> str:
    """Write a part in its one canonical form: defaults left out, keys sorted, numbers plain, ASCII.

    Order of keys, comments, spelled-out defaults and the form of numbers (31 or 31.0) make no difference.
    """
    content = part.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    return json.dumps(_plain(content), sort_keys=True, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(below) for below in value]
    return json_number(value) if isinstance(value, Decimal) else value
