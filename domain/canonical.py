"""Canonical JSON, whose bytes are stored and hashed: equal values give equal bytes, on any machine."""

import json
from typing import Any

_PLAIN = str | int | None
_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def canonical_json(value: Any) -> str:
    r"""Write values in their canonical form, which is hashed as UTF-8.

    Keys are sorted by their code points, no spaces separate tokens, whole numbers are plain decimals, and text is
    unchanged but for ``\" \\ \b \f \n \r \t`` and other characters below U+0020, as ``\u001f``.

    TypeError for a value without such a form: a float (write money and rates as whole numbers or as text), a key that
    is not text, any other object.

    >>> canonical_json({"b": [1, None, True], "a": "é"})
    '{"a":"é","b":[1,null,true]}'
    """
    _require_exact(value, "the value")
    return _ENCODER.encode(value)


def _require_exact(value: Any, where: str) -> None:
    """Raise TypeError for a value that has no canonical form, and name its place; *where* is the place of *value*."""
    if isinstance(value, dict):
        for key, below in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{where} has the key {key!r}; keys of canonical JSON must be text")
            if not isinstance(below, _PLAIN):
                _require_exact(below, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for number, below in enumerate(value):
            _require_exact(below, f"{where}[{number}]")
    elif not isinstance(value, _PLAIN):
        raise TypeError(
            f"{where} is {value!r}; canonical JSON has only text, whole numbers, true, false, null, arrays, objects"
        )
