"""The JSON Schemas of rulesets and policies, for editors and other programs."""

import json
import re
from typing import Any

from fivefold.risk.language.fields import Definition
from fivefold.risk.language.ruleset import Ruleset

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(form: type[Definition] = Ruleset) -> dict[str, Any]:
    """Return the JSON Schema of rulesets or policies. It has words and forms; lint checks what they mean together.

    >>> schema()["required"][:2]
    ['ruleset', 'entity_type']
    """
    content = form.model_json_schema(by_alias=True)
    content = _with_file_names(_plain(content), _names(content["$defs"]))
    rest = {word: content[word] for word in content if word != "title"}
    return {"$schema": DIALECT, "title": f"fivefold {form.word}", **rest}


def schema_json(form: type[Definition] = Ruleset) -> str:
    """Write the schema, one word a line, as `fivefold rules schema` prints it."""
    return json.dumps(schema(form), indent=2, ensure_ascii=False) + "\n"


def _plain(part: Any) -> Any:
    """Remove what carries no information: generated titles, null as a value, defaults in the program's own form.

    Names that do not match the pattern of names are refused as unknown words are.
    """
    if isinstance(part, list):
        return [_plain(below) for below in part]
    if not isinstance(part, dict):
        return part
    choices = part.get("anyOf")
    if isinstance(choices, list) and {"type": "null"} in choices:
        others = [choice for choice in choices if choice != {"type": "null"}]
        rest = {word: below for word, below in part.items() if word not in {"anyOf", "default"}}
        return _plain({**rest, **others[0]} if len(others) == 1 else {**rest, "anyOf": others})
    return {
        word: {name: _plain(below) for name, below in value.items()} if word in _NAMES_BELOW else _plain(value)
        for word, value in part.items()
        if word in _NAMES_BELOW or not _says_nothing(word, value)
    } | ({"additionalProperties": False} if "patternProperties" in part else {})


_NAMES_BELOW = ("properties", "$defs")
"""Words of a schema whose keys are names, not words."""


def _says_nothing(word: str, value: Any) -> bool:
    is_default = word == "default" and not (isinstance(value, int) or (isinstance(value, str) and value.islower()))
    return word in {"title", "discriminator"} or is_default


def _names(forms: dict[str, Any]) -> dict[str, str]:
    """Map the forms' names to names without the program's spelling: Any_ is any, FieldInputTest is field-input-test."""
    return {name: re.sub(r"(?<!^)(?=[A-Z])", "-", name).strip("_").lower() for name in forms}


def _with_file_names(part: Any, names: dict[str, str]) -> Any:
    if isinstance(part, list):
        return [_with_file_names(below, names) for below in part]
    if not isinstance(part, dict):
        return part
    content: dict[str, Any] = {}
    for word, value in part.items():
        if word == "$ref":
            content[word] = f"#/$defs/{names[value.rpartition('/')[2]]}"
        elif word == "$defs":
            content[word] = {names[name]: _with_file_names(below, names) for name, below in value.items()}
        elif word == "description":
            content[word] = value.partition("\n\n")[0].replace("\n", " ")
        else:
            content[word] = _with_file_names(value, names)
    return content
