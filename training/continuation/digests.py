"""The digest of what a result depends on: a part is taken by it, so that nothing else can take its place."""

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from typing import Final

import lightgbm
import numpy as np
from pydantic import BaseModel

_DIGITS: Final = 32


def digest_of(*values: object) -> str:
    """Give the digest of settings, arrays and trees, and of dataclasses and collections of such.

    >>> digest_of(1, ("a", None)) == digest_of(1, ("a", None)), digest_of(1) == digest_of(1.0)
    (True, False)
    """
    whole = hashlib.sha256()
    for each in values:
        for content in _contents(each):
            whole.update(content)
    return whole.hexdigest()[:_DIGITS]


def _contents(value: object) -> list[bytes | memoryview]:
    """Give the type and the content; TypeError for what has no content that is known here."""
    if isinstance(value, np.ndarray):
        whole = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
        return [f"array {value.dtype} {value.shape};".encode(), whole.data]
    parts: list[object] = []
    if isinstance(value, BaseModel):
        text = value.model_dump_json()
    elif isinstance(value, lightgbm.Booster):
        text = value.model_to_string(num_iteration=-1)
    elif isinstance(value, Mapping):
        text, parts = "", [part for item in sorted(value.items()) for part in item]
    elif is_dataclass(value):
        text, parts = "", [getattr(value, field.name) for field in fields(value)]
    elif isinstance(value, list | tuple):
        text, parts = "", [*value]
    elif value is None or isinstance(value, str | int | float | date | np.generic):
        text = repr(value)
    else:
        raise TypeError(f"a digest of {type(value).__name__} would not say what is in it")
    name, size = type(value).__name__, len(parts) or len(text)
    return [f"{name} {size};{text}".encode(), *(content for part in parts for content in _contents(part))]
