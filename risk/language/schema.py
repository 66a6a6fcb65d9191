"""The JSON Schemas of rulesets and policies: what editors and other programs need to know of the language."""

import json
import re
from typing import Any

from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.policy import Policy
from fivefold.risk.language.ruleset import Ruleset

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """Give the JSON Schema of a ruleset. It has words and forms; lint checks what they mean together.

    >>> schema()["additionalProperties"]
    False
    """
    return _schema_of(Ruleset, "fivefold ruleset")


def policy_schema() -> dict[str, Any]:
    """Give the JSON Schema of a policy, in the same way.

    >>> policy_schema()["required"][:2]
    ['policy', 'entity_type']
    """
    return _schema_of(Policy, "fivefold policy")


def schema_json() -> str:
    """Write that of rulesets, one word a line, as `fivefold rules schema` prints it."""
    return _written(schema())


def policy_schema_json() -> str:
    """Write that of policies, as `fivefold rules schema --policy` prints it."""
    return _written(policy_schema())


def _schema_of(form: type[LanguageModel], title: str) -> dict[str, Any]:
    made = form.model_json_schema(by_alias=True)
    made = _named_as_files_do(_plain(made), _names(made["$defs"]))
    return {"$schema": DIALECT, "title": title, **{word: made[word] for word in made if word != "title"}}


def _written(made: dict[str, Any]) -> str:
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def _plain(made: Any) -> Any:
    """Take out what says nothing: generated titles, nothing (null) as a value, defaults in the program's own form.

    Names that do not look as names must are refused as unknown words are.
    """
    if isinstance(made, list):
        return [_plain(below) for below in made]
    if not isinstance(made, dict):
        return made
    choices = made.get("anyOf")
    if isinstance(choices, list) and {"type": "null"} in choices:
        left = [choice for choice in choices if choice != {"type": "null"}]
        rest = {word: below for word, below in made.items() if word not in {"anyOf", "default"}}
        return _plain({**rest, **left[0]} if len(left) == 1 else {**rest, "anyOf": left})
    return {
        word: {name: _plain(below) for name, below in value.items()} if word in _NAMES_BELOW else _plain(value)
        for word, value in made.items()
        if word in _NAMES_BELOW or not _says_nothing(word, value)
    } | ({"additionalProperties": False} if "patternProperties" in made else {})


_NAMES_BELOW = ("properties", "$defs")
"""Words of a schema below which stand names, not words."""


def _says_nothing(word: str, value: Any) -> bool:
    is_default = word == "default" and not (isinstance(value, int) or (isinstance(value, str) and value.islower()))
    return word in {"title", "discriminator"} or is_default


def _names(forms: dict[str, Any]) -> dict[str, str]:
    """Give the forms names without the program's spelling: Any_ is any, FieldInputTest is field-input-test."""
    return {name: re.sub(r"(?<!^)(?=[A-Z])", "-", name).strip("_").lower() for name in forms}


def _named_as_files_do(made: Any, names: dict[str, str]) -> Any:
    if isinstance(made, list):
        return [_named_as_files_do(below, names) for below in made]
    if not isinstance(made, dict):
        return made
    found: dict[str, Any] = {}
    for word, value in made.items():
        if word == "$ref":
            found[word] = f"#/$defs/{names[value.rpartition('/')[2]]}"
        elif word == "$defs":
            found[word] = {names[name]: _named_as_files_do(below, names) for name, below in value.items()}
        elif word == "description":
            found[word] = value.partition("\n\n")[0].replace("\n", " ")
        else:
            found[word] = _named_as_files_do(value, names)
    return found
