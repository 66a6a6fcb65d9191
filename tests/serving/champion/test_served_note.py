"""The note of the versions that served, which the release before reads too."""

from pathlib import Path

from fivefold.serving.champion.served_note import ServedNote, ServedVersion

FIRST, SECOND = ServedVersion(1, "a1", "b1"), ServedVersion(2, "a2", "b2")


def numbers_read_before(path: Path) -> list[int]:
    """Read a note as the release before this one does."""
    return [int(word) for word in reversed(path.read_text(encoding="utf-8").split()) if word.isdecimal()]


def test_the_release_before_reads_the_numbers_and_this_one_runs_and_hashes_too(tmp_path: Path) -> None:
    note = ServedNote(tmp_path / "note")
    note.remember(FIRST)
    note.remember(SECOND)
    assert note.versions() == [SECOND, FIRST]
    assert numbers_read_before(note.path) == [2, 1]
    note.remember_withdrawal()
    assert (note.is_withdrawn(), note.versions()) == (True, [SECOND, FIRST])
    assert numbers_read_before(note.path) == [2, 1]
    note.remember(FIRST)
    assert (note.is_withdrawn(), note.versions()) == (False, [FIRST])


def test_what_the_release_before_writes_is_read(tmp_path: Path) -> None:
    note = ServedNote(tmp_path / "note")
    note.path.write_text("1 2", encoding="utf-8")
    assert note.versions() == [ServedVersion(2), ServedVersion(1)]
    note.remember(ServedVersion(3, "a3", "b3"))
    assert note.versions() == [ServedVersion(3, "a3", "b3"), ServedVersion(2), ServedVersion(1)]
    assert numbers_read_before(note.path) == [3, 2, 1]


def test_a_word_that_is_damaged_names_no_run(tmp_path: Path) -> None:
    note = ServedNote(tmp_path / "note")
    note.path.write_text("1 2 1=a1 2=a2:b2:c2 =:", encoding="utf-8")
    assert note.versions() == [ServedVersion(2), ServedVersion(1)]
