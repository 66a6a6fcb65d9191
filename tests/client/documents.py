"""What a client's calls say, held against an OpenAPI document: every difference that would break a caller."""

from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from fivefold.client.calls import Call

ROWS = "rows"


def differences(call: Call[Any], document: Mapping[str, Any]) -> Iterator[str]:
    """Name what the call asks for, or reads, that the document does not have."""
    operation = document["paths"].get(call.path, {}).get(call.method.lower())
    if operation is None:
        yield f"{call.method} {call.path} is no route"
        return
    found = {(each["in"], each["name"]) for each in operation.get("parameters", [])}
    yield from (f"{call.path}: no parameter {name}" for name in call.query if ("query", name) not in found)
    yield from (f"{call.path}: no part {name}" for name in call.parts if ("path", name) not in found)
    if call.has_pages and ("query", "after") not in found:
        yield f"{call.path}: has no pages"
    if call.body:
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {"schema": {}})
        yield from _body(call, list(_variants(content["schema"], document)), document)
    answers = [response for status, response in operation["responses"].items() if status.startswith("2")]
    schemas = [each["content"]["application/json"]["schema"] for each in answers if "content" in each]
    if call.has_pages:
        schemas = [schema["items"] for schema in schemas]
    yield from _read(call.path, call.gives, [one for each in schemas for one in _variants(each, document)], document)


def defaults_of(call: Call[Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """Give what the document says of the parameters and fields that a caller leaves out, by name."""
    operation = document["paths"][call.path][call.method.lower()]
    named = {each["name"]: each["schema"] for each in operation.get("parameters", [])}
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {"schema": {}})
    for each in _variants(content["schema"], document):
        named |= each.get("properties", {})
    return {name: schema["default"] for name, schema in named.items() if "default" in schema}


def _body(call: Call[Any], variants: list[Mapping[str, Any]], document: Mapping[str, Any]) -> Iterator[str]:
    if call.body == (ROWS,):
        if not any(each.get("type") == "array" for each in variants):
            yield f"{call.path}: takes no rows"
        return
    for each in variants:
        yield from (f"{call.path}: takes no {name}" for name in call.body if name not in each.get("properties", {}))
        yield from (f"{call.path}: wants {name}" for name in each.get("required", []) if name not in call.body)


def _read(place: str, form: Any, variants: list[Mapping[str, Any]], document: Mapping[str, Any]) -> Iterator[str]:
    """Compare the type that the client reads with the schemas that an answer may have, as deep as both go."""
    kinds = [each for each in _members(form) if each is not NoneType]
    nothing = [each for each in variants if each.get("type") == "null"]
    something = [each for each in variants if each.get("type") != "null"]
    if nothing and len(kinds) == len(_members(form)):
        yield f"{place}: may be null, and is read as {form}"
    if not something:
        yield f"{place}: is never {form}"
    for kind in kinds:
        origin = get_origin(kind)
        if origin in {list, tuple}:
            items = [one for each in something for one in _variants(each.get("items", {}), document)]
            yield from _read(f"{place}[]", get_args(kind)[0], items, document)
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _fields(place, kind, something, document)


def _fields(
    place: str, model: type[BaseModel], variants: list[Mapping[str, Any]], document: Mapping[str, Any]
) -> Iterator[str]:
    shapes = [each for each in variants if "properties" in each]
    if not shapes:
        yield f"{place}: is no object"
    for name, field in model.model_fields.items():
        called = field.alias or name
        with_it = [each for each in shapes if called in each["properties"]]
        if not with_it:
            yield f"{place}: has no field {called}"
            continue
        # Where any of several forms fits (roles, or explained or not), it is the fullest that the type is made for.
        always = all(called in each.get("required", []) for each in with_it)
        if field.is_required() and not (always and len(with_it) >= min(len(shapes), _fullest(model, shapes))):
            yield f"{place}: the field {called} may be absent"
        schemas = [one for each in with_it for one in _variants(each["properties"][called], document)]
        yield from _read(f"{place}.{called}", field.annotation, schemas, document)


def _fullest(model: type[BaseModel], shapes: list[Mapping[str, Any]]) -> int:
    """Count the forms that have every field which the model cannot do without."""
    needed = {field.alias or name for name, field in model.model_fields.items() if field.is_required()}
    return sum(needed <= set(shape["properties"]) for shape in shapes)


def _members(form: Any) -> tuple[Any, ...]:
    return get_args(form) if get_origin(form) in {Union, UnionType} else (form,)


def _variants(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Give every form that a schema allows, references resolved."""
    if "$ref" in schema:
        yield from _variants(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], document)
    elif "anyOf" in schema or "oneOf" in schema:
        for each in schema.get("anyOf") or schema["oneOf"]:
            yield from _variants(each, document)
    else:
        yield schema
