"""Archives that prove their content: the same files are the same bytes, and a manifest has the hash of each."""

import json
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from errno import EINVAL
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from fivefold.domain.clock import iso_text
from fivefold.domain.errors import ConfigError
from fivefold.domain.files import replacing

MANIFEST = "manifest.json"
KIND, FORM = "fivefold evidence", 1
_MOMENT = (1980, 1, 1, 0, 0, 0)
"""The time of every file in an archive: the earliest that zip files can have."""
_MODE = 0o644 << 16
_CHUNK_BYTES = 1 << 20
_MANIFEST_BYTES = 64 << 20
"""A larger manifest is not read: it would list some 400,000 files, and may unpack to more than there is memory."""


@dataclass(frozen=True)
class File:
    """A file of an archive: its name with folders, and a function that yields its content when it is written."""

    name: str
    content: Callable[[], Iterable[bytes]]


def text_file(name: str, text: str) -> File:
    """Make a file of text."""
    return File(name, lambda: [text.encode()])


def json_file(name: str, value: Any) -> File:
    """Make a file of JSON for people and machines: keys sorted, floats as they are."""
    return text_file(name, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, sort_keys=True) + "\n")


def write_archive(
    target: Path | IO[bytes], files: Iterable[File], manifest_fields: Callable[[], Mapping[str, Any]]
) -> str:
    """Write files, sorted by their names, and a manifest as the last one; return the manifest's SHA-256.

    Args:
        target: the archive; at a path it appears once it is whole.
        files: with different names.
        manifest_fields: the other fields of the manifest; called once all is written.
    """
    place: AbstractContextManager[Path | IO[bytes]]
    place = replacing(target) if isinstance(target, Path) else nullcontext(target)
    with place as unfinished, zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
        listed = [_write(archive, file) for file in sorted(files, key=lambda file: file.name)]
        manifest = json_file(MANIFEST, {"kind": KIND, "form": FORM, **manifest_fields(), "files": listed})
        return str(_write(archive, manifest)["sha256"])


def _write(archive: zipfile.ZipFile, file: File) -> dict[str, Any]:
    info = zipfile.ZipInfo(file.name, _MOMENT)
    info.compress_type, info.create_system, info.external_attr = zipfile.ZIP_DEFLATED, 3, _MODE
    digest, size = sha256(), 0
    with archive.open(info, "w", force_zip64=True) as opened:
        for piece in file.content():
            opened.write(piece)
            digest.update(piece)
            size += len(piece)
    return {"name": file.name, "bytes": size, "sha256": digest.hexdigest()}


_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
"""What reading an archive raises that was damaged, or made by another program."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class ManifestFile(_Part):
    """A file as a manifest lists it."""

    name: str
    bytes: int
    sha256: str


class Manifest(_Part):
    """The parts of an archive's manifest that are checked; it has more, for people."""

    kind: str
    form: int
    files: tuple[ManifestFile, ...]


@dataclass(frozen=True)
class ArchiveCheck:
    """The result of checking an archive.

    Attributes:
        files: how many files the manifest lists.
        manifest_sha256: to be compared with the hash from when the archive was made: a person who changes files
            can write another manifest.
        problems: the problems, a line each.
    """

    files: int
    manifest_sha256: str
    problems: tuple[str, ...]


Problems = Callable[[zipfile.ZipFile], Iterable[str]]


def check_archive(path: Path, meaning: Problems | None = None) -> ArchiveCheck:
    """Compare every file of an archive with its manifest; ConfigError if it cannot be checked.

    If the files are whole, *meaning* finds problems in their contents.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            content = _manifest_bytes(archive, path)
            manifest = Manifest.model_validate_json(content)
            if (manifest.kind, manifest.form) != (KIND, FORM):
                raise ConfigError(
                    f"{path} is {manifest.kind} of form {manifest.form}; this reads {KIND} of form {FORM}"
                )
            problems = tuple(_problems(archive, manifest))
            if meaning is not None and not problems:
                problems = tuple(meaning(archive))
    except ValidationError:  # which is a ValueError
        raise ConfigError(f"the {MANIFEST} of {path} is not as `fivefold evidence` writes it") from None
    except (*_UNREADABLE, OSError) as error:
        if isinstance(error, OSError) and error.errno != EINVAL:  # EINVAL: a place before the file's beginning
            raise
        raise ConfigError(f"{path} is not an archive that can be read: {error}") from None
    return ArchiveCheck(len(manifest.files), sha256(content).hexdigest(), problems)


def _manifest_bytes(archive: zipfile.ZipFile, path: Path) -> bytes:
    if archive.namelist().count(MANIFEST) != 1:
        raise ConfigError(f"{path} has no {MANIFEST}, or several; `fivefold evidence` writes one")
    with archive.open(MANIFEST) as opened:
        content = opened.read(_MANIFEST_BYTES + 1)
    if len(content) > _MANIFEST_BYTES:
        raise ConfigError(f"the {MANIFEST} of {path} has more than {_MANIFEST_BYTES:,} bytes, and may have no more")
    return content


def _problems(archive: zipfile.ZipFile, manifest: Manifest) -> Iterator[str]:
    there = [name for name in archive.namelist() if name != MANIFEST]
    listed = {file.name: file for file in manifest.files}
    if len(listed) < len(manifest.files):
        yield f"{MANIFEST}: lists a file twice"
    for name in sorted({name for name in there if there.count(name) > 1}):
        yield f"{name}: is there more than once"
    for name in sorted(set(there) - set(listed)):
        yield f"{name}: is not in the manifest"
    for name, file in sorted(listed.items()):
        if name not in there:
            yield f"{name}: is missing"
        else:
            yield from _problems_of(archive, file)


def _problems_of(archive: zipfile.ZipFile, file: ManifestFile) -> Iterator[str]:
    digest, size = sha256(), 0
    try:
        with archive.open(file.name) as opened:
            for piece in _pieces(opened):
                digest.update(piece)
                size += len(piece)
                if size > file.bytes:  # a small archive may take too long to unpack
                    yield f"{file.name}: has more bytes than the {file.bytes} that the manifest says"
                    return
    except _UNREADABLE as error:
        yield f"{file.name}: cannot be read: {error}"
        return
    if digest.hexdigest() != file.sha256:
        yield f"{file.name}: was changed: its SHA-256 is another"
    elif size != file.bytes:
        yield f"{file.name}: has {size} bytes, and the manifest says {file.bytes}"


def _pieces(opened: IO[bytes]) -> Iterator[bytes]:
    while piece := opened.read(_CHUNK_BYTES):
        yield piece


@dataclass(frozen=True)
class ArchiveSection:
    """Some files of an archive, and the number of things of each kind in them."""

    files: Sequence[File]
    counts: Mapping[str, int]


def optional_iso_text(time_us: int | None) -> str | None:
    """Return a moment as text, exact to the microsecond; None for None.

    >>> optional_iso_text(1), optional_iso_text(None)
    ('1970-01-01T00:00:00.000001+00:00', None)
    """
    return None if time_us is None else iso_text(time_us)
