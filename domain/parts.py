"""Long work in parts: finished parts are kept beside the output, so that an interrupted run continues from them.

The folder of an output is `.NAME.parts`. It has a manifest, which describes from what and how the parts were made, the
finished parts, and the files being written. A part gets its name once it is whole and on the disk. The name includes a
digest of the content, and a part whose content has another digest when it is read is made again. The output gets its
name at the end, and then the folder is removed. Work that makes no file has a folder for each set of conditions, since
several such runs may be under way at once.
"""

import glob
import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from fivefold.domain.clock import iso_text, now_microseconds
from fivefold.domain.errors import ConfigError, FivefoldError, RegistryError, StoreError
from fivefold.domain.files import (
    DISK_FULL,
    causes,
    flush,
    is_own_file,
    naming,
    protect_folder,
    put_in_place,
    require_folder,
)
from fivefold.domain.text import count_text

PROGRAM: Final = "the program"
"""The name of the condition that is the state of the program that makes the parts."""
_MANIFEST: Final = "manifest.json"
_LOCK: Final = "lock"
_OUTPUT: Final = "output"
_UNFINISHED: Final = ".unfinished"
_PART: Final = ".part"
_PRIVATE: Final = 0o700
_PRIVATE_FILE: Final = 0o600
_DIGEST_DIGITS: Final = 32
_PASSING: Final = "passing"
_DIGITS: Final = 8
_TRIES: Final = 10
"""How often to make a folder again if another process removes it at its end."""
_LOCK_SECONDS: Final = 0.5
"""How long to wait for a lock: a process that lists parts holds it briefly, one that makes them until its end."""

log = logging.getLogger("fivefold.parts")


@dataclass(frozen=True, kw_only=True)
class Task:
    """The task of a run.

    Attributes:
        command: such as `score`.
        output: the file to make; if the task makes none, the path that its parts are named after.
        conditions: everything else that the result depends on, as text, by its name for people.
        more: options to add to the same command to continue, such as `--as-of` if the command itself means now.
        subject: the name of the result for people; empty if it is a file.
    """

    command: str
    output: Path
    conditions: Mapping[str, str]
    more: str = ""
    subject: str = ""

    @property
    def label(self) -> str:
        """The name of the result, for people."""
        return self.subject or str(self.output)

    @property
    def folder(self) -> Path:
        """The folder of the parts."""
        if not self.subject:
            return folder_of(self.output)
        content = json.dumps([self.command, sorted(self.conditions.items())])
        digest = hashlib.sha256(content.encode()).hexdigest()[:_DIGITS]
        return folder_of(self.output.with_name(f"{self.output.name}.{digest}"))

    @property
    def at_work(self) -> str:
        """The message if another process is working on it."""
        if self.subject:
            return f"{self.subject} is under way in another process, by the same command; wait until it ends"
        return f"{_at_work(self.output)}, or give another --output"

    @property
    def again(self) -> str:
        """How to continue: the words that follow `the same command`."""
        return f" with {self.more}" if self.more else ""


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """The folder of parts that an interrupted run left.

    Attributes:
        output: the file that the run was to make.
        folder: the folder of the parts.
        command: the command of the run; empty if the manifest lacks it.
        begun: when the run began, as text; empty if the manifest lacks it.
        parts: the number of finished parts.
        size_bytes: the size of all files in the folder but the lock.
        is_running: a process is working on it.
    """

    output: Path
    folder: Path
    command: str
    begun: str
    parts: int
    size_bytes: int
    is_running: bool


class Parts:
    """The finished parts of one output, each under its name, and the place where the output is written.

    Attributes:
        output: the file that is made of them.
        begun_with: how many parts were finished when this run began.
        stays: keep the parts after any error; the run sets it once it does something that must not be done twice.
    """

    def __init__(self, folder: Path, output: Path, *, is_passing: bool = False) -> None:
        """Open the parts of a locked folder; *is_passing* parts, which no other run reads, have no digest."""
        self.output = output
        self._folder = folder
        self._is_passing = is_passing
        self._keeps = True
        self.stays = False
        self.begun_with = self.count

    @property
    def count(self) -> int:
        """The number of finished parts."""
        return len(list(self._folder.glob(f"*{_PART}")))

    @property
    def mark(self) -> str:
        """The identity of the run that began these parts: a hash of its manifest, which has the time of its beginning.

        Empty if the manifest is gone.
        """
        manifest = self._folder / _MANIFEST
        return hashlib.sha256(manifest.read_bytes()).hexdigest()[:_DIGEST_DIGITS] if manifest.exists() else ""

    def find(self, name: str) -> Path | None:
        """Return the file of a finished part; None if it is not finished.

        A file that is not of this account, or whose content changed, is deleted, so that the part is made again.
        """
        for path in self._files(name):
            if is_own_file(path) and path.name == self._file_name(name, path):
                return path
            log.warning("%s is not as it was written, and is made again", path)
            path.unlink()
        return None

    def series(self, name: str) -> Iterator[Path]:
        """Yield the finished parts of a series (see `numbered`), up to the first that is not finished.

        Later ones are deleted, since each begins where the one before it ends.
        """
        for number in count():
            if (file := self.find(numbered(name, number))) is None:
                break
            yield file
        for later in self._folder.glob(f"{name}-*{_PART}"):
            if later.name > numbered(name, number):
                later.unlink()

    def require(self, name: str) -> Path:
        """Return the file of a part, which must be finished."""
        (path,) = self._files(name)
        return path

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Yield a path to write a part to; the part counts as finished once it is on the disk."""
        with naming(self._unfinished(name)):
            yield self._unfinished(name)
            self._finish(name)

    def add(self, name: str, content: bytes, *, is_first: bool = True, is_last: bool = True) -> None:
        """Append to a part that the work can do without; it counts as finished once its last content is on the disk.

        If the disk is full, the log warns once, and from then on nothing is added.
        """
        if not self._keeps:
            return
        try:
            with naming(self._unfinished(name)):
                with self._unfinished(name).open("wb" if is_first else "ab") as file:
                    file.write(content)
                if is_last:
                    self._finish(name)
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            self._keeps = False
            self._unfinished(name).unlink(missing_ok=True)
            log.warning("%s: %s; the work goes on without keeping more parts", self._unfinished(name), error.strerror)

    @contextmanager
    def publishing(self) -> Iterator[Path]:
        """Yield a path to write the output to; the file gets the output's name once it is on the disk."""
        unfinished = self._folder / f"{_OUTPUT}{self.output.suffix}"
        with naming(self.output):
            yield unfinished
            put_in_place(unfinished, self.output)

    def _files(self, name: str) -> list[Path]:
        return list(self._folder.glob(f"{name}.*{_PART}"))

    def _unfinished(self, name: str) -> Path:
        return self._folder / f"{name}{_UNFINISHED}"

    def _finish(self, name: str) -> None:
        unfinished = self._unfinished(name)
        unfinished.chmod(_PRIVATE_FILE)
        put_in_place(unfinished, self._folder / self._file_name(name, unfinished))

    def _file_name(self, name: str, content: Path) -> str:
        """Return the file name of a part, with a digest of its content that reveals later changes by system or disk."""
        if self._is_passing:
            return f"{name}.{_PASSING}{_PART}"
        with content.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")  # processors have instructions for it: a sort writes gigabytes
        return f"{name}.{digest.hexdigest()[:_DIGEST_DIGITS]}{_PART}"


def numbered(name: str, number: int) -> str:
    """Return the name of a part of a series.

    >>> numbered("rows", 12)
    'rows-000012'
    """
    return f"{name}-{number:06}"


@contextmanager
def open_parts(task: Task, *, restart: bool = False) -> Iterator[Parts]:
    """Yield the parts of a task: those that an interrupted run of the same task finished, or none with *restart*.

    They are removed if the block succeeds, or fails with an error that another run would fail with too, unless it has
    set `Parts.stays`. After any other end they stay: after a signal, or if the disk is full, or if a registry or a
    database does not answer.

    Raises:
        ConfigError: the output's folder does not exist, another process is working on the task, or finished parts are
            of another task. The message then names each difference.
    """
    require_folder(task.output)
    folder = task.folder
    if task.subject:  # the parts are in a folder of this program, where no other account may put files
        protect_folder(folder)
    lock = _locked(folder, task.at_work)
    try:
        parts = _begin(folder, task, restart=restart)
        try:
            yield parts
        except BaseException as error:
            if (_is_final(error) and not parts.stays) or not parts.count:
                _clear(folder)
            raise
        _clear(folder)
    finally:
        _release(lock, folder)


@contextmanager
def passing_parts(output: Path) -> Iterator[Parts]:
    """Yield temporary parts, which are removed however the block ends: no run continues from them."""
    require_folder(output)
    with tempfile.TemporaryDirectory(prefix=".", dir=output.absolute().parent) as folder:
        yield Parts(Path(folder), output, is_passing=True)


def others_of(task: Task) -> list[Leftover]:
    """List what `left_by` does, without the folder of the task's own conditions."""
    return [each for each in left_by(task) if each.folder != task.folder]


def left_by(task: Task) -> list[Leftover]:
    """List what interrupted runs left of a task that makes no file, under any conditions; empty for other tasks."""
    if not task.subject:
        return []
    pattern = folder_of(task.output.with_name(f"{glob.escape(task.output.name)}.{'[0-9a-f]' * _DIGITS}"))
    every = _leftovers(sorted(pattern.parent.glob(pattern.name)))
    return [each for each in every if each.parts and not each.is_running]


def left_of(task: Task) -> int:
    """Count the finished parts of a task; 0 if it left none."""
    return Parts(task.folder, task.output).count


def folder_of(output: Path) -> Path:
    """Return the folder of the parts of an output."""
    return output.absolute().with_name(f".{output.name}.parts")


def leftovers(folder: Path) -> list[Leftover]:
    """List what runs left for outputs in a folder, by name; a run may still be working on one."""
    return _leftovers(each for each in sorted(folder.glob(".*.parts")) if each.is_dir())


def remove_leftover(leftover: Leftover) -> None:
    """Remove what a run left; ConfigError if a process is working on it."""
    lock = _locked(leftover.folder, _at_work(leftover.output))
    try:
        _clear(leftover.folder)
    finally:
        _release(lock, leftover.folder)


def _leftovers(folders: Iterable[Path]) -> list[Leftover]:
    """Describe folders of parts; a folder that a process removes meanwhile is left out."""
    every = list[Leftover]()
    for each in folders:
        with suppress(FileNotFoundError):
            every.append(_leftover(each))
    return every


def _leftover(folder: Path) -> Leftover:
    """Describe a folder of parts, in which a process may be working; FileNotFoundError if the folder is missing."""
    manifest = _read_manifest(folder)
    sizes = dict[str, int]()
    for each in folder.iterdir():
        with suppress(FileNotFoundError):  # it has another name by now, or is gone
            sizes[each.name] = each.stat().st_size
    is_running = sizes.pop(_LOCK, None) is not None and _is_locked(folder)
    return Leftover(
        output=folder.with_name(folder.name.removeprefix(".").removesuffix(".parts")),
        folder=folder,
        command=str(manifest.get("command", "")),
        begun=str(manifest.get("begun", "")),
        parts=sum(name.endswith(_PART) for name in sizes),
        size_bytes=sum(sizes.values()),
        is_running=is_running,
    )


def _is_locked(folder: Path) -> bool:
    try:
        with FileLock(folder / _LOCK, timeout=0):
            return False
    except Timeout:
        return True


def _at_work(output: Path) -> str:
    return f"{output} is being made by another process; wait until it ends"


def _locked(folder: Path, at_work: str) -> FileLock:
    """Make the folder, and lock it for this process; ConfigError with *at_work* if another process holds the lock."""
    lock = FileLock(folder / _LOCK, timeout=_LOCK_SECONDS)
    for _ in range(_TRIES):
        folder.mkdir(mode=_PRIVATE, exist_ok=True)
        try:
            lock.acquire()
        except Timeout:
            raise ConfigError(at_work) from None
        except FileNotFoundError:  # the process that had it removed it just now
            continue
        return lock
    raise ConfigError(f"{folder} cannot be made: another process removes it")


def _release(lock: FileLock, folder: Path) -> None:
    """Release the lock, and remove the folder if nothing else is in it."""
    if not any(each.name != _LOCK for each in folder.iterdir()):
        (folder / _LOCK).unlink(missing_ok=True)
        with suppress(OSError):  # another process has begun in it
            folder.rmdir()
    lock.release()


def _begin(folder: Path, task: Task, *, restart: bool) -> Parts:
    manifest_there = _read_manifest(folder)
    parts = Parts(folder, task.output)
    if parts.begun_with and not restart:
        _require_same(task, manifest_there, parts.begun_with)
        for each in folder.iterdir():
            if each.suffix == _UNFINISHED or each.stem == _OUTPUT:
                each.unlink()
        return parts
    for other in others_of(task):
        if not restart:
            _require_same(task, _read_manifest(other.folder), other.parts)
        remove_leftover(other)
    _clear(folder)
    manifest = {
        "command": task.command,
        "begun": iso_text(now_microseconds()),
        "conditions": dict(task.conditions),
        "again": task.again,
    }
    path = folder / _MANIFEST
    try:
        with naming(path):
            path.with_suffix(_UNFINISHED).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
            flush(path.with_suffix(_UNFINISHED))
            path.with_suffix(_UNFINISHED).replace(path)
    except OSError:
        _clear(folder)
        raise
    return Parts(folder, task.output)


def _require_same(task: Task, manifest: Mapping[str, object], finished: int) -> None:
    """Raise ConfigError if a task differs from that of the finished parts; the message names every difference."""
    now = {"the command": task.command, **task.conditions}
    conditions = manifest.get("conditions")
    before = {"the command": manifest.get("command"), **(conditions if isinstance(conditions, dict) else {})}
    changes = [
        f"{name} was {before.get(name, 'not given')} and is {now.get(name, 'not given')}"
        for name in dict.fromkeys([*before, *now])
        if before.get(name) != now.get(name)
    ]
    if changes:
        way = f"Run the first command again{manifest.get('again', '')} to continue, or add --restart to start over"
        if before.get(PROGRAM) != now.get(PROGRAM):  # the first command would be refused as well
            way = "Another state of the program cannot continue; add --restart to start over"
        raise ConfigError(
            f"an interrupted run left {count_text(finished, 'finished part')} for {task.label}, and this run is "
            f"another: {'; '.join(changes)}. {way}"
        )


def _read_manifest(folder: Path) -> dict[str, object]:
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _is_final(error: BaseException) -> bool:
    """Return whether the same run would fail with this error again: it is ours, and no system error caused it.

    A registry or a database that does not answer now may answer later.
    """
    if not isinstance(error, FivefoldError) or isinstance(error, RegistryError | StoreError):
        return False
    return not any(isinstance(cause, OSError) for cause in causes(error))


def _clear(folder: Path) -> None:
    """Remove everything but the lock.

    The newest part goes last, and then the manifest: if the process dies here, the rest shows how far the work was.
    """
    every = [each for each in folder.iterdir() if each.name != _LOCK]
    for each in sorted(every, key=lambda path: (path.name == _MANIFEST, path.stat().st_mtime_ns)):
        shutil.rmtree(each) if each.is_dir() else each.unlink()
