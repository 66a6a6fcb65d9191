"""Answers from outside as JSON: read exactly, refused if another reader could understand them differently."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from jsonschema import Draft202012Validator
from referencing.exceptions import Unresolvable

from fivefold.features.reading.json_lines import once
from fivefold.flows.outside.outcomes import is_plain_text
from fivefold.usecases.shared.connections import NotAnsweredError

MOST_NAME_CHARACTERS = 80
LEAST_SECRET_CHARACTERS = 8
"""A shorter secret may occur in an answer by chance."""


def read_json(body: bytes | str) -> Any:
    """Read JSON with exact numbers (int and Decimal); NotAnsweredError if it is not JSON, or repeats a name."""
    try:
        text = body if isinstance(body, str) else body.decode("utf-8")
        return json.loads(text, parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=once)
    except (ValueError, ArithmeticError, RecursionError) as error:
        what = "is nested too deeply" if isinstance(error, RecursionError) else "is not JSON"
        raise NotAnsweredError(f"the answer {what}") from None


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not a number of JSON")


def require_fit(content: Any, validator: Draft202012Validator) -> None:
    """Check an answer against its schema; NotAnsweredError says where it does not fit, and never the value there."""
    try:
        error = next(validator.iter_errors(_floats(content)), None)
    except (Unresolvable, RecursionError, ArithmeticError, ValueError) as failure:
        raise NotAnsweredError(f"the answer cannot be compared with its schema ({type(failure).__name__})") from None
    if error is not None:
        place = "/".join(_named(part) for part in error.absolute_path) or "the whole"
        raise NotAnsweredError(f"the answer does not fit its schema: {error.validator} at {place}")


def _named(part: Any) -> str:
    """Write a part of a path for people: names come from the outside too."""
    text = str(part)[:MOST_NAME_CHARACTERS]
    return text if is_plain_text(text) and "\n" not in text else "?"


def _floats(content: Any) -> Any:
    """Return the same content with floats for exact numbers, as the validator of schemas needs them."""
    if isinstance(content, dict):
        return {name: _floats(below) for name, below in content.items()}
    if isinstance(content, list):
        return [_floats(below) for below in content]
    return float(content) if isinstance(content, Decimal) else content


def require_without(body: bytes, secret: str) -> None:
    """Raise NotAnsweredError if an answer contains the secret of its question: it would be stored with the run."""
    if len(secret) >= LEAST_SECRET_CHARACTERS and secret.encode() in body:
        raise NotAnsweredError("the answer has the secret in it by which it was asked")


def at_pointer(content: Any, pointer: str) -> Any:
    """Follow a JSON pointer (RFC 6901); None if it leads nowhere.

    >>> at_pointer({"a/b": [{"c": 1}]}, "/a~1b/0/c"), at_pointer({}, "/a")
    (1, None)
    """
    for word in pointer.split("/")[1:]:
        name = word.replace("~1", "/").replace("~0", "~")
        if isinstance(content, Mapping):
            content = content.get(name)
        elif isinstance(content, list) and name.isascii() and name.isdigit() and int(name) < len(content):
            content = content[int(name)]
        else:
            return None
    return content
