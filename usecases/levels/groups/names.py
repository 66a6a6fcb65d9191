"""Those linked by the names that people know them by: what is stored has their numbers, and pages show who they are.

A name is written when a breakdown is read, as it is known then; nothing that is stored changes.
"""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from fivefold.risk.compiler.analysis import Analysed
from fivefold.risk.facts.inputs import Needs
from fivefold.risk.facts.portfolio import path_of
from fivefold.risk.language.expressions import Linked, input_key
from fivefold.store.ingest.entities import names_and_attributes
from fivefold.store.portfolio.words import is_name

_NAMING = frozenset({"who", "not", "met"})
_WHOLE_NAMES = ("name", "full_name")
_PARTS_OF_NAME = ("first_name", "last_name")


def with_names(session: Session, analysed: Analysed[Any], inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Put names in place of the numbers of those linked; what was erased since keeps its number.

    Roles that read the reasons of a level read the entities of its type too, so a name tells them nothing new.

    Args:
        session: to read with.
        analysed: the ruleset, or the policy, that asked.
        inputs: the values of all inputs by their keys, with whom they were made of, as they were kept.
    """
    keys = (path_of(input_key(each)) for each in Needs.of(analysed).everything() if isinstance(each, Linked))
    paths = {key: json.loads(inputs[key]) for key in keys if inputs.get(key)}
    numbers = {one for path in paths.values() for part in _NAMING for one in path.get(part, ())}
    entities = names_and_attributes(session, sorted(int(one) for one in numbers if one.isdecimal())) if numbers else {}
    names = {str(number): _called(*of) for number, of in entities.items()}
    for path in paths.values():
        for part in path.keys() & _NAMING:
            path[part] = [names.get(one, one) for one in path[part]]
    return {**inputs, **{key: json.dumps(path) for key, path in paths.items()}}


def _called(external_id: str, fields: Mapping[str, Any], attributes: Mapping[str, Any]) -> str:
    """Call an entity by its name, and by its identifier.

    >>> _called("c17", {"full_name": "text"}, {"full_name": "Anna Berg"}), _called("c17", {"size": "number"}, {})
    ('Anna Berg (c17)', 'c17')
    >>> _called("c17", {"first_name": "text", "last_name": "text"}, {"first_name": "Anna", "last_name": "Berg"})
    'Anna Berg (c17)'
    """
    texts = {
        name: value.strip()
        for name, value in sorted(attributes.items())
        if fields.get(name) == "text" and is_name(name) and isinstance(value, str) and value.strip()
    }
    whole = next((texts[name] for name in _WHOLE_NAMES if name in texts), "")
    parts = " ".join(texts[name] for name in _PARTS_OF_NAME if name in texts)
    name = whole or parts or next(iter(texts.values()), "")
    return f"{name} ({external_id})" if name else external_id
