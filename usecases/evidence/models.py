"""Evidence of the value model: which versions served in a quarter, who promoted them, and what they were made from."""

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from fivefold.domain.errors import ModelNotFoundError
from fivefold.domain.settings import Settings
from fivefold.store.audit.promotions import LoggedPromotion, logged_promotions
from fivefold.usecases.evidence.archive import ArchiveSection, File, json_file, optional_iso_text, text_file
from fivefold.usecases.shared.inputs import Quarter

if TYPE_CHECKING:
    from mlflow.entities import Dataset, Run

    from fivefold.models.promotions import Promotion
    from fivefold.models.registry import Registry

NONE = """There was no registry of value models when this was made, so none was read.
Promotions are in the audit log; whether a registry has them was not compared.
"""
_OWN_TAGS = "mlflow."
"""The prefix of tags that MLflow itself adds to a run, such as the file that started it."""


def models_part(session: Session, organisation_id: int, quarter: Quarter, settings: Settings | None) -> ArchiveSection:
    """Collect the promotions of a quarter, and for every version that served in it its card and its origin.

    A machine without a registry (*settings* may be None then) has none: the archive says so, and none is created.
    Promotions that the audit log has and the registry lacks are a file of their own: of their versions only the log's
    entries are known here.
    """
    if settings is None or not settings.has_registry:
        counts = {"models": 0, "promotions": 0, "promotions_lost": 0}
        return ArchiveSection([text_file("models/none.txt", NONE)], counts)
    from fivefold.models.promotions import promotions_between, recorded_moments  # noqa: PLC0415 (imports MLflow)
    from fivefold.models.registry import Registry  # noqa: PLC0415 (as above)

    registry = Registry(settings, settings.model_name)
    served = promotions_between(registry, quarter.from_us, quarter.until_us - 1)
    mine = (organisation_id, registry.name)
    logged = [each for each in logged_promotions(session) if (each.organisation_id, each.model) == mine]
    lost = _lost(logged, recorded_moments(registry), quarter)
    present = registry.run_ids()
    versions = sorted({(each.version, each.model_run or present.get(each.version, "")) for each in served})
    files = [
        json_file("models/promotions.json", [_promotion(promotion) for promotion in served]),
        *(file for number, run_id in versions for file in _files_of(registry, number, run_id, present.get(number))),
        *_lost_file(lost),
    ]
    return ArchiveSection(files, {"models": len(versions), "promotions": len(served), "promotions_lost": len(lost)})


def _lost(logged: list[LoggedPromotion], recorded: Collection[int], quarter: Quarter) -> list[LoggedPromotion]:
    """Return the promotions of a quarter that a log has and the registry lacks, with the one in force at its start."""
    begun = [each for each in logged if each.at_us is not None and each.at_us < quarter.until_us]
    replaced = [each for each in begun if (each.at_us or 0) < quarter.from_us][:-1]
    return [each for each in begun if each not in replaced and each.at_us not in recorded]


def _lost_file(lost: list[LoggedPromotion]) -> list[File]:
    rows = [
        {**each.details, "action": each.action, "entry": each.entry, "at": optional_iso_text(each.at_us)}
        for each in lost
    ]
    for row in rows:
        del row["at_us"]
    return [json_file("models/promotions-lost.json", rows)] if rows else []


def _promotion(promotion: "Promotion") -> dict[str, Any]:
    fields = asdict(promotion)
    return {**fields, "at": optional_iso_text(fields.pop("at_us"))}


def _files_of(registry: "Registry", number: int, run_id: str, present_run_id: str | None) -> list[File]:
    """Write the origin of a version; for a deleted one the training run has all of it but the registry's own data."""
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


def _own(tags: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in tags.items() if not name.startswith(_OWN_TAGS)}


def _data(dataset: "Dataset") -> dict[str, Any]:
    return {
        "name": dataset.name,
        "digest": dataset.digest,
        "source": dataset.source,
        "profile": json.loads(dataset.profile or "null"),
    }


def _run(registry: "Registry", run_id: str) -> "Run | None":
    """Read a training run; None if it was deleted for good, or a version has none."""
    with suppress(ModelNotFoundError):
        return registry.client.get_run(run_id) if run_id else None
    return None


def _card(registry: "Registry", run_id: str) -> str:
    from fivefold.models.registry import CARD_FILE  # noqa: PLC0415 (imports MLflow)

    card = registry.artifact(run_id, CARD_FILE) if run_id else None
    return card or f"Run {run_id} has no {CARD_FILE} any more.\n"
