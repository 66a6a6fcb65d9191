"""The version that an interrupted training had registered already: it is finished, and not registered again."""

import secrets
from typing import Final

from fivefold.domain.parts import Parts
from fivefold.models.registry import CHALLENGER, RegisteredVersion, Registry

TRAINING_TAG: Final = "training"
"""Tag of a version: the mark of the training that registered it, by which a run that continues finds it again."""
_NAME: Final = "registration"
_MARK_BYTES: Final = 16


def mark_of(parts: Parts | None) -> dict[str, str]:
    """Give the tag that marks the version of a training; it is on the disk before that version can be registered."""
    if parts is None:
        return {}
    if (file := parts.find(_NAME)) is not None:
        return {TRAINING_TAG: file.read_text()}
    mark = secrets.token_hex(_MARK_BYTES)
    with parts.writing(_NAME) as path:
        path.write_text(mark)
    return {TRAINING_TAG: mark}


def registered_before(registry: Registry, parts: Parts) -> RegisteredVersion | None:
    """Give the version that the interrupted training registered; None where it came to none.

    What its process could not say any more is said now: its alias, and that its run is finished.
    """
    if parts.find(_NAME) is None:
        return None
    mark = mark_of(parts)
    version = next((each for each in registry.versions() if mark.items() <= each.tags.items()), None)
    if version is None:
        return None
    registry.client.set_terminated(version.run_id)
    name_newest(registry, version)
    return registry.version(version.number)


def name_newest(registry: Registry, version: RegisteredVersion) -> None:
    """Make the newest version the challenger where its run died between registering and naming it."""
    if version.number == registry.versions()[0].number and not version.aliases:
        registry.set_alias(CHALLENGER, version.number)
