"""The note of the versions that served here, which a start without the registry may serve."""

import re
from dataclasses import dataclass
from pathlib import Path

import structlog

from fivefold.domain.errors import ConfigError
from fivefold.domain.files import replacing
from fivefold.domain.provenance import may_be_same_model

_WITHDRAWN = "withdrawn"
"""The word after the versions of a note if the champion was withdrawn since."""

_NAMED = re.compile(r"(\d+)=([^:]+):([^:]+)")
"""Pattern of a word that holds the run and hash of a version."""

log = structlog.get_logger("fivefold.model")


@dataclass(frozen=True)
class ServedVersion:
    """A version, the run that trained it and the hash of its content.

    Run and hash are None if the note is from a release that wrote numbers alone.
    """

    number: int
    run_id: str | None = None
    content_hash: str | None = None

    def may_be(self, run_id: str, content_hash: str) -> bool:
        """Return whether a model may be this version; a run or hash that is not noted fits any model."""
        return self.run_id in {None, run_id} and may_be_same_model(self.content_hash, content_hash)


class ServedNote:
    """A file of words: the versions that served, the last one last, and whether the champion was withdrawn since.

    Run and hash of a version are a separate word, `2=run:hash`. The release before, which may run beside this one
    during an upgrade, reads the numbers and `withdrawn`, and ignores every other word.
    """

    def __init__(self, path: Path) -> None:
        """Set the path; nothing is read yet."""
        self.path = path

    def versions(self) -> list[ServedVersion]:
        """Return the versions that served here and were not rolled back, the last one first."""
        words = self._words()
        named = (_NAMED.fullmatch(word) for word in words)
        identities = {number: (run, content) for number, run, content in (each.groups() for each in named if each)}
        return [ServedVersion(int(word), *identities.get(word, ())) for word in reversed(words) if word.isdecimal()]

    def is_withdrawn(self) -> bool:
        """Return whether the champion was withdrawn, and no version has served since."""
        return _WITHDRAWN in self._words()

    def remember(self, version: ServedVersion) -> None:
        """Note the version that serves, after those that a start may fall back to.

        If an older version serves again, those after it were rolled back, and are removed.
        """
        served = [*(each for each in reversed(self.versions()) if each.number < version.number), version]
        identities = [f"{each.number}={each.run_id}:{each.content_hash}" for each in served if each.run_id]
        self._write([*(str(each.number) for each in served), *identities])

    def remember_withdrawal(self) -> None:
        """Note that the champion was withdrawn, until a version serves again."""
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
