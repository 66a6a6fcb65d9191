"""The version that an interrupted training had registered already: it is finished, and not registered again."""

from typing import Final

from fivefold.domain.parts import Parts
from fivefold.models.registry import CHALLENGER, RegisteredVersion, Registry

TRAINING_TAG: Final = "training"
"""Tag of a version: the mark of the training that registered it, by which a run that continues finds it again."""
_NAME: Final = "registration"


def mark_of(parts: Parts | None) -> dict[str, str]:
    """Give the tag that marks the version of a training.

    A part says that there may be one from now on. So there is a part, and the manifest that the mark is of stays where
    the training is interrupted, or ends with any error.
    """
    if parts is None:
        return {}
    parts.stays = True
    if parts.find(_NAME) is None:
        with parts.writing(_NAME) as path:
            path.write_text(parts.mark)
    return {TRAINING_TAG: parts.mark}


def registered_before(registry: Registry, parts: Parts) -> RegisteredVersion | None:
    """Give the version that the interrupted training registered; None where it came to none.

    What its process could not say any more is said now: its alias, and that its run is finished.
    """
    mark = parts.mark
    if not mark:
        return None
    version = registry.tagged(TRAINING_TAG, mark)
    if version is None:
        return None
    parts.stays = True
    registry.client.set_terminated(version.run_id)
    name_newest(registry, version)
    return registry.version(version.number)


def name_newest(registry: Registry, version: RegisteredVersion) -> None:
    """Make the newest version the challenger where its run died between registering and naming it."""
    if version.number == registry.numbers()[0] and not version.aliases:
        registry.set_alias(CHALLENGER, version.number)
