"""Evidence of the value model: which versions served in a quarter, who promoted them, and what they were made from."""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fivefold.domain.settings import Settings
from fivefold.usecases.evidence.archive import ArchiveSection, File, json_file, optional_iso_text, text_file
from fivefold.usecases.shared.inputs import Quarter

if TYPE_CHECKING:
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
    versions = sorted({promotion.version for promotion in served})
    files = [
        json_file("models/promotions.json", [_promotion(promotion) for promotion in served]),
        *(file for version in versions for file in _files_of(registry, version)),
    ]
    return ArchiveSection(files, {"models": len(versions), "promotions": len(served)})


def _promotion(promotion: "Promotion") -> dict[str, Any]:
    fields = asdict(promotion)
    return {**fields, "at": optional_iso_text(fields.pop("at_us"))}


def _files_of(registry: "Registry", number: int) -> list[File]:
    version = registry.version(number)
    place = f"models/{registry.name}-{number:04}"
    run = registry.client.get_run(version.run_id)
    lineage = {
        "model": registry.name,
        "version": number,
        "registered": optional_iso_text(version.created_us),
        "run": version.run_id,
        "version_tags": _own(version.tags),
        "run_tags": _own(run.data.tags),
        "parameters": dict(run.data.params),
        "metrics": {name: float(value) for name, value in run.data.metrics.items()},
        "data": [_data(dataset_input.dataset) for dataset_input in (run.inputs.dataset_inputs if run.inputs else [])],
    }
    return [json_file(f"{place}-lineage.json", lineage), text_file(f"{place}-card.md", _card(registry, version.run_id))]


def _own(tags: Any) -> dict[str, str]:
    return {name: value for name, value in tags.items() if not name.startswith(_OWN_TAGS)}


def _data(dataset: Any) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "digest": dataset.digest,
        "source": dataset.source,
        "profile": json.loads(dataset.profile or "null"),
    }


def _card(registry: "Registry", run_id: str) -> str:
    from fivefold.models.registry import CARD_FILE  # noqa: PLC0415 (imports MLflow)

    if CARD_FILE not in {artifact.path for artifact in registry.client.list_artifacts(run_id)}:
        return f"Run {run_id} has no {CARD_FILE} any more.\n"
    with tempfile.TemporaryDirectory() as folder:
        return Path(registry.client.download_artifacts(run_id, CARD_FILE, folder)).read_text(encoding="utf-8")
