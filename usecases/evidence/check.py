"""Whether an archive of evidence is whole, and says the same in all of its files."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

from fivefold.usecases.evidence.archive import ArchiveCheck, check_archive
from fivefold.usecases.evidence.purposes import purpose_problems
from fivefold.usecases.evidence.runs import run_problems


def check_evidence(path: Path) -> ArchiveCheck:
    """Compare an archive with its manifest, what it says of purposes with its documents, and its runs with its counts.

    ConfigError where it cannot be checked.
    """
    return check_archive(path, _problems)


def _problems(archive: zipfile.ZipFile) -> Iterator[str]:
    yield from purpose_problems(archive)
    yield from run_problems(archive)
