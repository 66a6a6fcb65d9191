"""Finished parts beside an output: when they stay, when they go, and who may continue with them."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from threading import Timer
from unittest.mock import Mock

import pytest
from filelock import FileLock

from fivefold.domain.errors import (
    ConfigError,
    FileFormatError,
    InvalidDataError,
    Problem,
    RegistryError,
    StoreError,
    UnknownOutcomeError,
    UntrustedClockError,
)
from fivefold.domain.parts import (
    PROGRAM,
    Parts,
    Task,
    folder_of,
    leftovers,
    log,
    numbered,
    open_parts,
    passing_parts,
    remove_leftover,
)


def task(folder: Path, **conditions: str) -> Task:
    return Task(command="score", output=folder / "out.csv", conditions={"--as-of": "2024-07-01", **conditions})


def keep(parts: Parts, name: str, text: str = "done") -> None:
    with parts.writing(name) as path:
        path.write_text(text)


def interrupted(folder: Path, error: BaseException) -> None:
    """Finish one part, and end with an error."""
    with pytest.raises(type(error)), open_parts(task(folder)) as parts:
        begin(parts, error)


def begin(parts: Parts, error: BaseException, *, stays: bool = False) -> None:
    keep(parts, "a")
    parts.stays = stays
    with parts.publishing() as unfinished:
        unfinished.write_text("half")
        raise error


def test_the_output_is_there_once_it_is_whole_and_nothing_else_is(tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("old")
    with open_parts(task(tmp_path)) as parts:
        keep(parts, "a")
        with parts.publishing() as unfinished:
            unfinished.write_text("new")
            assert (tmp_path / "out.csv").read_text() == "old"
    assert (tmp_path / "out.csv").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), SystemExit(143), OSError(errno.ENOSPC, "full"), MemoryError(), TypeError()]
)
def test_what_is_finished_stays_after_an_interruption(error: BaseException, tmp_path: Path) -> None:
    interrupted(tmp_path, error)
    with open_parts(task(tmp_path)) as parts:
        assert parts.begun_with == 1
        found = parts.find("a")
        assert found is not None
        assert found.read_text() == "done"
        assert parts.find("b") is None
        assert sorted(path.name for path in folder_of(tmp_path / "out.csv").iterdir()) == [
            found.name, "lock", "manifest.json",
        ]  # fmt: skip
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", [RegistryError, StoreError, UnknownOutcomeError, UntrustedClockError])
def test_what_does_not_answer_now_may_answer_later(kind: type[Exception], tmp_path: Path) -> None:
    interrupted(tmp_path, kind("it cannot be reached"))
    assert [left.parts for left in leftovers(tmp_path)] == [1]


def test_once_something_is_done_that_is_not_to_be_done_twice_the_parts_stay(tmp_path: Path) -> None:
    with pytest.raises(ConfigError), open_parts(task(tmp_path)) as parts:
        begin(parts, ConfigError("wrong"), stays=True)
    assert [left.parts for left in leftovers(tmp_path)] == [1]


@pytest.mark.parametrize("error", [InvalidDataError([Problem(1, "a", "b", "c")]), FileFormatError("not grouped")])
def test_an_error_that_would_come_again_leaves_nothing(error: BaseException, tmp_path: Path) -> None:
    interrupted(tmp_path, error)
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_ours_that_a_device_led_to_leaves_the_parts(tmp_path: Path) -> None:
    error = FileFormatError("rows.parquet cannot be read")
    error.__context__, error.__suppress_context__ = TimeoutError("the store does not answer"), True  # raised from None
    interrupted(tmp_path, error)
    assert [each.parts for each in leftovers(tmp_path)] == [1]


def test_a_run_that_finished_nothing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), open_parts(task(tmp_path)):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_is_half_written_is_none(tmp_path: Path) -> None:
    interrupted(tmp_path, KeyboardInterrupt())
    with pytest.raises(OSError, match="No space"), open_parts(task(tmp_path)) as parts:
        fill_the_disk(parts)
    with open_parts(task(tmp_path)) as parts:
        assert parts.begun_with == 1
        assert parts.find("b") is None


def test_work_goes_on_without_the_parts_for_which_there_is_no_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the disk is full it is said once; what the work cannot do without fails there."""

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    said = list[str]()
    monkeypatch.setattr(log, "warning", lambda text, *values: said.append(text % values))
    with open_parts(task(tmp_path)) as parts:
        parts.add("a", b"one, ", is_last=False)
        parts.add("a", b"two", is_first=False)
        assert parts.require("a").read_bytes() == b"one, two"
        with monkeypatch.context() as patch:
            patch.setattr("fivefold.domain.parts.put_in_place", fail)
            parts.add("b", b"one")
            parts.add("c", b"two")
            with pytest.raises(OSError, match="No space"):
                keep(parts, "d")
        parts.add("e", b"there is a place again, and part b is not")
        assert [parts.find(name) is None for name in "abce"] == [False, True, True, True]
        path = folder_of(tmp_path / "out.csv") / "b.unfinished"
        assert not path.exists()
    assert said == [f"{path}: No space left on device; the work goes on without keeping more parts"]


def test_another_error_of_a_part_ends_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("fivefold.domain.parts.put_in_place", fail)
    with pytest.raises(OSError, match="Input/output"), open_parts(task(tmp_path)) as parts:
        parts.add("a", b"one")


def fill_the_disk(parts: Parts) -> None:
    with parts.writing("b") as path:
        path.write_text("half")
        raise OSError(errno.ENOSPC, "of a library, which names no file")


def test_an_error_of_the_system_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught, open_parts(task(tmp_path)) as parts, parts.publishing():  # noqa: PT011 (below)
        raise OSError(errno.ENOSPC, "of a library, which names no file")
    assert (caught.value.filename, caught.value.strerror) == (str(tmp_path / "out.csv"), os.strerror(errno.ENOSPC))


def test_every_difference_is_named(tmp_path: Path) -> None:
    interrupted(tmp_path, KeyboardInterrupt())
    changed = Task(
        command="score", output=tmp_path / "out.csv", conditions={"--as-of": "2024-08-01", "--explain": "True"}
    )
    with pytest.raises(ConfigError) as caught, open_parts(changed):
        pass
    assert str(caught.value) == (
        f"an interrupted run left 1 finished part for {tmp_path / 'out.csv'}, and this run is another: --as-of was "
        "2024-07-01 and is 2024-08-01; --explain was not given and is True. Run the first command again to continue, "
        "or add --restart to start over"
    )
    with open_parts(task(tmp_path)) as parts:  # nothing was lost by it
        assert parts.begun_with == 1


def test_another_program_is_sent_to_no_first_command(tmp_path: Path) -> None:
    """The first command is this one: a clock gives it each night, and each night it was refused."""
    with pytest.raises(KeyboardInterrupt), open_parts(task(tmp_path, **{PROGRAM: "1"})) as parts:
        begin(parts, KeyboardInterrupt())
    with pytest.raises(ConfigError) as caught, open_parts(task(tmp_path, **{PROGRAM: "2"})):
        pass
    assert str(caught.value) == (
        f"an interrupted run left 1 finished part for {tmp_path / 'out.csv'}, and this run is another: the program was "
        "1 and is 2. Another state of the program cannot continue; add --restart to start over"
    )


def test_a_restart_begins_anew(tmp_path: Path) -> None:
    interrupted(tmp_path, KeyboardInterrupt())
    with open_parts(task(tmp_path, model="another"), restart=True) as parts:
        assert parts.begun_with == 0
        assert parts.find("a") is None


@pytest.mark.parametrize("manifest", ["", "{", "[]", "{}"])
def test_parts_without_a_manifest_are_those_of_nothing_known(manifest: str, tmp_path: Path) -> None:
    interrupted(tmp_path, KeyboardInterrupt())
    (folder_of(tmp_path / "out.csv") / "manifest.json").write_text(manifest)
    assert [(each.command, each.begun) for each in leftovers(tmp_path)] == [("", "")]
    with pytest.raises(ConfigError, match="the command was None and is score"), open_parts(task(tmp_path)):
        pass


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with open_parts(task(tmp_path)) as parts:
        keep(parts, "a")
        with pytest.raises(ConfigError, match="is being made by another process"), open_parts(task(tmp_path)):
            pass
        (left,) = leftovers(tmp_path)
        assert left.is_running
        with pytest.raises(ConfigError, match="is being made by another process"):
            remove_leftover(left)
        assert parts.find("a") is not None


def test_what_is_left_can_be_listed_and_removed(tmp_path: Path) -> None:
    interrupted(tmp_path, KeyboardInterrupt())
    (left,) = leftovers(tmp_path)
    assert (left.output, left.command, left.parts, left.is_running) == (tmp_path / "out.csv", "score", 1, False)
    assert left.size_bytes > len("done") + len("half")
    assert left.begun
    remove_leftover(left)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_removed_is_not_locked_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(tmp_path, KeyboardInterrupt())
    (left,) = leftovers(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", Mock(side_effect=PermissionError(errno.EACCES, "no")))
        with pytest.raises(PermissionError) as refused:
            remove_leftover(left)
    assert not leftovers(tmp_path)[0].is_running, refused  # whose traceback would keep the lock
    remove_leftover(left)
    assert list(tmp_path.iterdir()) == []


def test_parts_are_for_this_account_alone(tmp_path: Path) -> None:
    with open_parts(task(tmp_path)):
        assert stat.S_IMODE(folder_of(tmp_path / "out.csv").stat().st_mode) == 0o700


def test_passing_parts_go_however_it_ends(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), passing_parts(tmp_path / "out.csv") as parts:
        begin(parts, KeyboardInterrupt())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no folder .*none"), open_parts(task(tmp_path / "none")):
        pass


def test_what_goes_while_it_is_listed_is_not_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(tmp_path, KeyboardInterrupt())
    folder = folder_of(tmp_path / "out.csv")
    (tmp_path / ".gone.csv.parts").mkdir()
    look = Path.iterdir

    def changing(path: Path) -> Iterator[Path]:
        if path.name == ".gone.csv.parts":
            path.rmdir()
        yield from list(look(path))
        if path == folder:
            yield path / "b.unfinished"  # it was there, and has the name of a part by now

    monkeypatch.setattr(Path, "iterdir", changing)
    assert [(each.output.name, each.parts) for each in leftovers(tmp_path)] == [("out.csv", 1)]


def test_who_lists_parts_is_in_the_way_of_nobody(tmp_path: Path) -> None:
    interrupted(tmp_path, KeyboardInterrupt())
    lock = FileLock(folder_of(tmp_path / "out.csv") / "lock", thread_local=False)
    lock.acquire()
    timer = Timer(0.1, lock.release, [True])
    timer.start()
    with open_parts(task(tmp_path)) as parts:
        assert parts.begun_with == 1
    timer.join()


@pytest.mark.parametrize("content", ["", "don", "dome", "done, and more"])
def test_a_part_with_other_content_than_was_written_is_made_again(content: str, tmp_path: Path) -> None:
    with open_parts(task(tmp_path)) as parts:
        keep(parts, "a")
        parts.require("a").write_text(content)
        assert parts.find("a") is None
        assert parts.count == 0
        keep(parts, "a")
        assert parts.require("a") == parts.find("a")


def test_a_series_ends_before_the_first_part_that_is_not_whole(tmp_path: Path) -> None:
    with open_parts(task(tmp_path)) as parts:
        for number in range(4):
            keep(parts, numbered("rows", number), str(number))
        keep(parts, numbered("sorted", 3))
        assert [each.read_text() for each in parts.series("rows")] == ["0", "1", "2", "3"]
        parts.require("rows-000002").write_text("torn")
        assert [each.read_text() for each in parts.series("rows")] == ["0", "1"]
        assert parts.find("rows-000003") is None
        assert parts.find("sorted-000003") is not None


def of_a_training(folder: Path) -> Task:
    return Task(command="train", output=folder / "value", conditions={}, subject="the training of value")


def test_a_part_that_others_may_have_written_is_not_read(tmp_path: Path) -> None:
    with open_parts(task(tmp_path)) as parts:
        keep(parts, "a")
        assert parts.find("a") is not None
        parts.require("a").chmod(0o666)  # anybody may have written it
        assert parts.find("a") is None
        keep(parts, "a")
        assert parts.find("a") is not None


def test_a_folder_of_trainings_that_everybody_may_write_is_closed(tmp_path: Path) -> None:
    folder = of_a_training(tmp_path).folder
    folder.mkdir()
    folder.chmod(0o777)
    with open_parts(of_a_training(tmp_path)):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_of_trainings_of_another_account_is_refused(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make a folder of another account")
    folder = of_a_training(tmp_path).folder
    folder.mkdir()
    os.chown(folder, 12345, -1)
    with pytest.raises(ConfigError, match="it must belong to this account"), open_parts(of_a_training(tmp_path)):
        pass
