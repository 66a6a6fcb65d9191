"""Evidence of the value model: which versions served in a quarter, who promoted them, and what they were made from."""

import json
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fivefold.domain.errors import ModelNotFoundError
from fivefold.domain.settings import Settings
from fivefold.usecases.evidence.archive import ArchiveSection, File, json_file, optional_iso_text, text_file
from fivefold.usecases.shared.inputs import Quarter

if TYPE_CHECKING:
    from mlflow.entities import Run

    from fivefold.models.promotions import Promotion
    from fivefold.models.registry import Registry

NONE = "There was no registry of value models when this was made.\n"
_OWN_TAGS = "mlflow."
"""What MLflow itself notes of a run, such as the file that started it."""


def models_part(settings: Settings | None, quarter: Quarter) -> ArchiveSection:
    """Collect the promotions of a quarter, and of every version that served in it its card and what it came from.

    A machine without a registry (then *settings* may be None) has none: the archive says so, and none is created.
    """
    if settings is None or not settings.has_registry:
        return ArchiveSection([text_file("models/none.txt", NONE)], {"models": 0, "promotions": 0})
    from fivefold.models.promotions import promotions_between  # noqa: PLC0415 (imports MLflow)
    from fivefold.models.registry import Registry  # noqa: PLC0415 (as above)

    registry = Registry(settings, settings.model_name)
    served = promotions_between(registry, quarter.from_us, quarter.until_us - 1)
    present = registry.run_ids()
    versions = sorted({(each.version, each.model_run or present.get(each.version, "")) for each in served})
    files = [
        json_file("models/promotions.json", [_promotion(promotion) for promotion in served]),
        *(file for number, run_id in versions for file in _files_of(registry, number, run_id, present.get(number))),
    ]
    return ArchiveSection(files, {"models": len(versions), "promotions": len(served)})


def _promotion(promotion: "Promotion") -> dict[str, Any]:
    fields = asdict(promotion)
    return {**fields, "at": optional_iso_text(fields.pop("at_us"))}


def _files_of(registry: "Registry", number: int, run_id: str, present_run_id: str | None) -> list[File]:
    """Write what a version came from; of one that was deleted its training run has all but what the registry said."""
    version = registry.version(number) if run_id == present_run_id else None
    run = _run(registry, run_id)
    place = f"models/{registry.name}-{number:04}{'' if version else f'-deleted-{run_id[:8]}'}".removesuffix("-")
    lineage = {
        "model": registry.name,
        "version": number,
        "registered": None if version is None else optional_iso_text(version.created_us),
        "run": run_id,
        "version_tags": {} if version is None else _own(version.tags),
        "run_tags": {} if run is None else _own(run.data.tags),
        "parameters": {} if run is None else dict(run.data.params),
        "metrics": {} if run is None else {name: float(value) for name, value in run.data.metrics.items()},
        "data": [_data(each.dataset) for each in (run.inputs.dataset_inputs if run and run.inputs else [])],
    }
    return [json_file(f"{place}-lineage.json", lineage), text_file(f"{place}-card.md", _card(registry, run_id))]


def _own(tags: Any) -> dict[str, str]:
    return {name: value for name, value in tags.items() if not name.startswith(_OWN_TAGS)}


def _data(dataset: Any) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "digest": dataset.digest,
        "source": dataset.source,
        "profile": json.loads(dataset.profile or "null"),
    }


def _run(registry: "Registry", run_id: str) -> "Run | None":
    """Read a training run; None where it was deleted for good, or a version has none."""
    with suppress(ModelNotFoundError):
        return registry.client.get_run(run_id) if run_id else None
    return None


def _card(registry: "Registry", run_id: str) -> str:
    from fivefold.models.registry import CARD_FILE  # noqa: PLC0415 (imports MLflow)

    card = registry.artifact(run_id, CARD_FILE) if run_id else None
    return card or f"Run {run_id} has no {CARD_FILE} any more.\n"
