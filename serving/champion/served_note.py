"""The note of the versions that served here: what a start without the registry may serve."""

from dataclasses import dataclass
from pathlib import Path

import structlog

from fivefold.domain.errors import ConfigError
from fivefold.domain.files import replacing
from fivefold.domain.provenance import may_be_same_model

_WITHDRAWN = "withdrawn"
"""The word behind the versions of a note where the champion was withdrawn since."""

log = structlog.get_logger("fivefold.model")


@dataclass(frozen=True)
class ServedVersion:
    """A version, the run that trained it and the hash of its content.

    Run and hash are None where the note is of a release that wrote numbers alone.
    """

    number: int
    run_id: str | None = None
    content_hash: str | None = None

    def may_be(self, run_id: str, content_hash: str) -> bool:
        """Tell whether a model may be this version: what is not noted tells nothing."""
        return self.run_id in {None, run_id} and may_be_same_model(self.content_hash, content_hash)


class ServedNote:
    """A file of words: the versions that served, the last one last, and whether the champion was withdrawn since."""

    def __init__(self, path: Path) -> None:
        """Read and write nothing yet."""
        self.path = path

    def versions(self) -> list[ServedVersion]:
        """Give the versions that served here and were not rolled back, the last one first."""
        read = (_version_of(word) for word in reversed(self._words()))
        return [version for version in read if version is not None]

    def is_withdrawn(self) -> bool:
        """Tell whether the champion was withdrawn, and no version serves since."""
        return _WITHDRAWN in self._words()

    def remember(self, version: ServedVersion) -> None:
        """Write down the version that serves, after those that a start may fall back to.

        Where an older one serves again, those after it were rolled back: they are none of these any more.
        """
        before = [each for each in reversed(self.versions()) if each.number < version.number]
        self._write([_word_of(each) for each in (*before, version)])

    def remember_withdrawal(self) -> None:
        """Write down that the champion was withdrawn, until a version serves again."""
        words = self._words()
        if _WITHDRAWN not in words:
            self._write([*words, _WITHDRAWN])

    def _words(self) -> list[str]:
        try:
            return self.path.read_text(encoding="utf-8").split()
        except (OSError, ValueError):
            return []

    def _write(self, words: list[str]) -> None:
        try:
            with replacing(self.path) as unfinished:
                unfinished.write_text(" ".join(words), encoding="utf-8")
        except (OSError, ConfigError) as error:  # serving does not depend on it
            log.warning("version not noted", words=words[-1:], error=type(error).__name__)


def _word_of(version: ServedVersion) -> str:
    if version.run_id is None or version.content_hash is None:
        return str(version.number)
    return f"{version.number}:{version.run_id}:{version.content_hash}"


def _version_of(word: str) -> ServedVersion | None:
    """Read a word of a note; None where it names no version."""
    number, *identity = word.split(":")
    return ServedVersion(int(number), *identity) if number.isdecimal() and len(identity) in {0, 2} else None
