"""The models that an organisation may ask; MLflow, which takes seconds to import, waits until one is asked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from fivefold.domain.settings import Settings
from fivefold.domain.text import perhaps
from fivefold.flows.outside.language import ModelQuestion
from fivefold.risk.language.purposes import Purpose, strictest

if TYPE_CHECKING:
    from fivefold.models.registered.loading import Models

_LOCK = Lock()
_KEPT: "dict[tuple[str, str], Models]" = {}
"""One for each registry: a loaded model serves all organisations."""


class ModelRegistration(BaseModel):
    """A model of the registry that flows may ask: its code runs in the worker's own process.

    Attributes:
        title: in plain words.
        purpose: what it was learnt from; aml where nothing is said.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    purpose: Purpose = "aml"


@dataclass(frozen=True)
class ModelsPermitted:
    """The models that an organisation may ask.

    Attributes:
        allowed: the models, by name.
        settings: say where the registry is; None if there is none.
    """

    allowed: Mapping[str, ModelRegistration] = field(default_factory=dict)
    settings: Settings | None = field(default=None, repr=False)

    @property
    def models(self) -> "Models | None":
        """The models of the registry; None if there is no registry."""
        from fivefold.models.registered.loading import Models  # noqa: PLC0415 (imports MLflow)

        if self.settings is None:
            return None
        key = (self.settings.tracking_uri, str(self.settings.var))
        with _LOCK:
            if key not in _KEPT:
                _KEPT[key] = Models(self.settings)
            return _KEPT[key]


def problems_of_permission(question: ModelQuestion, models: Mapping[str, ModelRegistration]) -> Iterator[str]:
    """Find why an organisation may not ask a model; *models* are those that it may ask, by name."""
    registered = models.get(question.name)
    if registered is None:
        there = ", ".join(models) or "none"
        yield f"there is no model {question.name} that may be asked; there are {there}{perhaps(question.name, models)}"
    elif strictest([registered.purpose, question.purpose]) != question.purpose:
        learnt = f"the model {question.name} is registered for {registered.purpose}"
        yield f"says that what the model learnt from is for {question.purpose}; {learnt}"
