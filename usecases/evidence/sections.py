"""What the parts of an archive of evidence have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fivefold.domain.clock import from_microseconds
from fivefold.usecases.evidence.archive import File


@dataclass(frozen=True)
class Part:
    """Some files of an archive, and how many things of each kind are in them."""

    files: Sequence[File]
    counts: Mapping[str, int]


def moment(time_us: int | None) -> str | None:
    """Write a moment, exact to the microsecond; nothing for none.

    >>> moment(1), moment(None)
    ('1970-01-01T00:00:00.000001+00:00', None)
    """
    return None if time_us is None else from_microseconds(time_us).isoformat()
