"""What people have to say when they change what decides: why, and how fast."""

from domain.errors import ConfigError
from usecases.ingest_checks import storable

MOST_CHARACTERS = 2000
MOST_PER_SECOND = 100_000


def checked_reason(reason: str, what: str = "reason") -> str:
    """Give a reason without the space around it; ConfigError where nothing is said, or more than is kept."""
    said = reason.strip() if isinstance(reason, str) else ""
    if not 1 <= len(said) <= MOST_CHARACTERS or not storable(said):
        raise ConfigError(f"{what} must say why, in 1 to {MOST_CHARACTERS} characters")
    return said


def checked_rate(per_second: int) -> int:
    """Give how many entities are to become due in a second; ConfigError where it is no such number."""
    if type(per_second) is not int or not 1 <= per_second <= MOST_PER_SECOND:
        raise ConfigError(f"per_second is {per_second!r}; it must be a whole number from 1 to {MOST_PER_SECOND}")
    return per_second
