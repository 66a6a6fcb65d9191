"""A model of the registry by name and alias, with what it takes and gives; none of its code is run for that."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature, get_model_info
from mlflow.types.schema import ColSpec, TensorSpec

from fivefold.domain.errors import ModelError, ModelNotFoundError
from fivefold.domain.settings import Settings, without_password
from fivefold.models.registry import Registry
from fivefold.models.registry_errors import registry_error

MOST_WORDS = 300
"""Most characters that are kept of another program's error message."""


@dataclass(frozen=True, kw_only=True)
class ModelColumn:
    """A column that a model takes.

    Attributes:
        kind: double, float, long, integer, boolean, string, datetime, or another word of MLflow's.
        required: the model cannot do without a value.
    """

    name: str
    kind: str
    required: bool


@dataclass(frozen=True, kw_only=True)
class ModelOutput:
    """A column that a model gives; its name is empty where it has none."""

    name: str
    kind: str


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What a model takes and gives, in its own order."""

    columns: tuple[ModelColumn, ...]
    outputs: tuple[ModelOutput, ...]


@dataclass(frozen=True, kw_only=True)
class AliasedModel:
    """The version of a model to which an alias points.

    Attributes:
        created_us: when it was registered, microseconds: a model that was deleted and registered anew is another one.
        source: where its files are, as the registry has it.
    """

    name: str
    alias: str
    version: int
    created_us: int
    source: str

    @property
    def key(self) -> tuple[str, int, int, str]:
        """What distinguishes a version from all others."""
        return self.name, self.version, self.created_us, self.source

    @property
    def uri(self) -> str:
        """MLflow's address."""
        return f"models:/{self.name}/{self.version}"


def find_aliased(settings: Settings, name: str, alias: str) -> AliasedModel:
    """Find the version to which an alias points.

    Raises:
        ModelNotFoundError: there is no such model or alias; it names the aliases that there are.
        RegistryError: the registry cannot be asked.
    """
    if not settings.has_registry:
        raise ModelNotFoundError(f"there is no model {name}: the registry has none yet")
    client = Registry(settings, name).client
    try:
        version = client.get_model_version_by_alias(name, alias)
    except ModelNotFoundError:
        raise ModelNotFoundError(_what_is_there(client, name, alias)) from None
    return AliasedModel(
        name=name,
        alias=alias,
        version=int(version.version),
        created_us=int(version.creation_timestamp) * 1_000,
        source=str(version.source),
    )


def _what_is_there(client: Any, name: str, alias: str) -> str:
    try:
        there = sorted(client.get_registered_model(name).aliases)
    except ModelNotFoundError:
        return f"there is no model {name} in the registry"
    return f"the model {name} has no alias {alias}; its aliases are {', '.join(there) or 'none'}"


def read_signature(settings: Settings, reference: AliasedModel) -> Signature:
    """Read what a version takes and gives, without loading it.

    Raises:
        ModelNotFoundError: its files are gone.
        RegistryError: the registry, or the store of its files, does not answer now.
        ModelError: it has no signature of named columns.
    """
    Registry(settings, reference.name).use()
    try:
        signature = get_model_info(reference.uri).signature
    except (MlflowException, OSError) as error:
        raise registry_error(error, f"version {reference.version} of {reference.name} cannot be read") from None
    return _signature(signature, f"version {reference.version} of {reference.name}")


def _signature(signature: ModelSignature | None, called: str) -> Signature:
    inputs = None if signature is None else signature.inputs
    outputs = None if signature is None else signature.outputs
    if inputs is None or outputs is None:
        raise ModelError(f"{called} has no signature of what it takes and gives; log it with one")
    columns = list(inputs.inputs)
    if not columns or not all(isinstance(each, ColSpec) and each.name for each in columns):
        raise ModelError(f"{called} has a signature without names of columns; log it with a table as its example")
    return Signature(
        columns=tuple(ModelColumn(name=each.name, kind=_kind(each), required=bool(each.required)) for each in columns),
        outputs=tuple(_outputs(list(outputs.inputs), called)),
    )


def _kind(column: ColSpec) -> str:
    return str(getattr(column.type, "name", column.type))


_OF_ARRAYS = {
    "float64": "double", "float32": "float", "int64": "long", "int32": "integer", "bool": "boolean",
    "str": "string", "object": "string",
}  # fmt: skip


def _outputs(specs: Sequence[Any], called: str) -> list[ModelOutput]:
    if len(specs) == 1 and isinstance(specs[0], TensorSpec):
        shape, kind = specs[0].shape, specs[0].type
        name = getattr(kind, "name", str(kind))
        word = _OF_ARRAYS.get("str" if name.startswith("str") else name, name)
        if shape in {(-1,), (-1, 1)}:
            return [ModelOutput(name="", kind=word)]
        if len(shape) == 2 and shape[0] == -1 and shape[1] > 0:
            return [ModelOutput(name="", kind=word)] * int(shape[1])
        raise ModelError(f"{called} gives an array of the shape {shape}; one or several columns can be read")
    if not specs or not all(isinstance(each, ColSpec) for each in specs):
        raise ModelError(f"{called} gives several arrays; one or several columns can be read")
    return [ModelOutput(name=str(each.name or ""), kind=_kind(each)) for each in specs]


def one_line(error: BaseException) -> str:
    """Describe an error in one line, without passwords."""
    text = str(error).strip()
    return without_password(text.splitlines()[0])[:MOST_WORDS] if text else type(error).__name__
