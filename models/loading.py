"""A registered value model by its address, or the champion."""

import re
from typing import Final

from fivefold.domain.errors import ConfigError
from fivefold.domain.settings import Settings
from fivefold.models.embedded import embedded_champion, load_embedded_champion
from fivefold.models.value_model import ValueModel

_NAME: Final = re.compile(r"[\w.-]+")


def require_model_name(name: str) -> None:
    """Raise ConfigError if the name of a model is invalid."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"the model's name is {name!r}; it may hold letters, digits and the signs . _ -")


def load_value_model(settings: Settings, uri: str | None, name: str) -> ValueModel:
    """Load the model of an address, `models:/NAME/VERSION` or `models:/NAME@ALIAS`; by default the champion.

    The champion of the embedded registry is read from its folder: opening MLflow takes longer than scoring a file.

    Raises:
        ConfigError: the name or the address is none.
        ModelError: there is no such version, or it cannot be loaded.
    """
    require_model_name(name)
    embedded = None if uri else embedded_champion(settings, name)
    if embedded is not None:
        return load_embedded_champion(embedded)
    from fivefold.models.registry import Registry  # noqa: PLC0415 (MLflow takes seconds to import)

    registry = Registry(settings, name)
    return registry.load_uri(uri) if uri else registry.load_champion()
