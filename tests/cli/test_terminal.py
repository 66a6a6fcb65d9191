"""What commands print with; a terminal that does not know every sign is written to in plain text."""

import logging
import os
import pwd
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from fivefold.cli.main import plain
from fivefold.cli.terminal import (
    Terminal,
    actor,
    echo,
    load_model,
    moment,
    open_current_database,
    open_registry,
    show_table,
    warn,
)
from fivefold.domain.clock import now_microseconds, parse_moment
from fivefold.domain.errors import ConfigError, StoreError
from tests.cli.running import AS_OF, Home


def test_a_moment_is_what_was_typed_or_now_in_whole_seconds() -> None:
    assert moment("2024-07-01", "--as-of") == parse_moment("2024-07-01T00:00:00Z")
    before = now_microseconds()
    found = moment(None, "--as-of")
    assert found % 1_000_000 == 0
    assert before - 1_000_000 < found <= now_microseconds()


def test_a_table_aligns_words_left_and_numbers_right(capsys: pytest.CaptureFixture[str]) -> None:
    show_table("Title", ("name", "kind", "number"), [["a", "b", "1"], ["[bold]long[/]", "", "1,000"]], left=2)
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "Title",
        "name           kind  number",
        "a              b          1",
        "[bold]long[/]         1,000",
    ]


def test_a_title_is_not_broken_over_a_narrow_table(capsys: pytest.CaptureFixture[str]) -> None:
    show_table("A title that is longer than the table", ("a",), [["b"]])
    assert capsys.readouterr().out.splitlines()[0] == "A title that is longer than the table"


SENTENCE = "Settled deposits fading by half every fortnight, summed over all of the history that there is"


@pytest.mark.parametrize("columns", [40, 60, 200])
def test_a_table_uses_the_width_there_is_and_breaks_at_words(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    show_table("Title", ("name", "meaning"), [["deposits", SENTENCE]], left=2)
    lines = capsys.readouterr().out.splitlines()[2:]
    assert " ".join(line.removeprefix("deposits").strip() for line in lines) == SENTENCE
    assert max(map(len, lines)) <= columns
    assert (len(lines) == 1) == (columns == 200)


def test_a_table_that_is_piped_on_has_its_rows_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    show_table("Title", ("name", "meaning"), [["deposits", SENTENCE * 3]], left=2)
    assert f"deposits  {SENTENCE * 3}" in capsys.readouterr().out


def test_lines_are_whole_and_plain(capsys: pytest.CaptureFixture[str]) -> None:
    echo("/a/path " * 40 + "[red]:smile:[/red]")
    warn("[blue]careful")
    captured = capsys.readouterr()
    assert captured.out == "/a/path " * 40 + "[red]:smile:[/red]\n"
    assert captured.err == "warning: [blue]careful\n"


def test_the_champion_is_loaded_by_default(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIVEFOLD_VAR", str(home.var))
    assert open_registry().name == "fivefold-value"
    assert load_model(None).content_hash == load_model("models:/fivefold-value/2").content_hash


@pytest.mark.parametrize("name", ["", "a b", "a/b", "[/x]", "x' OR 'a' = 'a"])
def test_a_name_that_no_model_can_have_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="it may hold letters, digits and the signs"):
        open_registry(name)


def test_the_person_at_the_terminal_is_the_machines_account(monkeypatch: pytest.MonkeyPatch) -> None:
    name = pwd.getpwuid(os.getuid()).pw_name
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(variable, "somebody-else")
    assert actor() == f"cli:{name}"
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_001)
    assert actor() == "cli:4000000001"


def test_control_characters_are_shown_and_never_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    """A customer called so could clear the screen, or write over the line that says what was found."""
    name = "a\x1b[2J\rb\x9bc\u202ed"
    echo(name)
    warn(name)
    show_table("Title", ("name",), [[name]])
    shown = capsys.readouterr()
    for text in (shown.out, shown.err):
        assert "\\x1b[2J\\rb\\x9bc\\u202ed" in text
        assert not set(text) & set("\x1b\r\x9b\u202e")


def test_what_stands_in_a_table_stays_in_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A name that was stored before such names were refused forged a line of the program's own."""
    show_table("Title", ("name",), [["a\nfivefold: all is well"], ["b\u2028c\u061cd"]])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[2:] == ["a\\nfivefold: all is well", "b\\u2028c\\u061cd"]
    echo("a reason\nof two lines\u2029")
    assert capsys.readouterr().out == "a reason\nof two lines\\u2029\n"


WATERFALL = "deposits  +0.5  ████┊\nage  −0.2  ░░░ ┊"


@pytest.mark.parametrize("colour", [True, False])
def test_a_terminal_has_colour_and_a_pipe_has_none(colour: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = StringIO()
    terminal = Terminal(file=out, force_terminal=colour)
    terminal.print(WATERFALL)
    terminal.print("warning: one row was refused")
    said = out.getvalue()
    assert ("\x1b[34m████\x1b[0m" in said, "\x1b[1;33mwarning:\x1b[0m" in said) == (colour, colour)
    assert re.sub(r"\x1b\[[0-9;]*m", "", said) == f"{WATERFALL}\nwarning: one row was refused\n"


@contextmanager
def without_all_rights() -> Iterator[None]:
    """Act as an account that the system may refuse something."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


NOBODY = 65_534


@pytest.mark.parametrize(
    ("of_file", "of_folder", "fault"),
    [
        (0o222, 0o755, "may not read {file}"),
        (0o666, 0o555, "may not write to {folder}"),
    ],
)
def test_a_file_of_the_database_that_this_account_may_not_use_is_named(
    of_file: int, of_folder: int, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TemporaryDirectory(dir="/tmp") as above:
        Path(above).chmod(0o755)
        folder = Path(above, "kept")
        folder.mkdir()
        monkeypatch.setenv("FIVEFOLD_VAR", str(folder / "var"))
        monkeypatch.setenv("FIVEFOLD_DATABASE_URL", f"sqlite:///{folder / 'fivefold.db'}")
        open_current_database().dispose()
        if os.geteuid() == 0:
            for each in (folder, folder / "var", folder / "fivefold.db"):
                os.chown(each, NOBODY, -1)
        (folder / "fivefold.db").chmod(of_file)
        folder.chmod(of_folder)
        expected = fault.format(file=folder / "fivefold.db", folder=folder)
        monkeypatch.setenv("FIVEFOLD_VAR", above)
        with pytest.raises(StoreError, match=f": this account {expected}$"), without_all_rights():
            open_current_database()
        folder.chmod(0o700)


def test_no_colour_where_the_reader_wants_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    out = StringIO()
    Terminal(file=out, force_terminal=True).print(WATERFALL)
    assert "\x1b[3" not in out.getvalue()


FIVEFOLD = str(Path(sys.executable).with_name("fivefold"))


@pytest.mark.full
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_waterfall_on_a_terminal_without_its_signs(encoding: str, home: Home) -> None:
    environment = {**os.environ, "FIVEFOLD_VAR": str(home.var), "PYTHONIOENCODING": encoding, "COLUMNS": "100"}
    command = [FIVEFOLD, "explain", str(home.rows), "--user", "user_000002", "--as-of", AS_OF]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode(encoding)
    assert text.startswith("Customer user_000002 as of ")
    assert "====" in text
    assert "?" not in text


def test_every_sign_that_a_picture_in_text_is_drawn_with_has_a_likeness() -> None:
    root = Path(__file__).parents[2] / "charts"
    signs = {sign for file in root.rglob("*.py") for sign in file.read_text(encoding="utf-8") if ord(sign) > 127}
    assert signs
    assert {sign for sign in signs if "?" in plain(sign)} == set()


def test_work_goes_on_where_its_log_is_on_the_full_disk_too(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full").open("w", buffering=1, encoding="utf-8")  # noqa: SIM115 (to close it fails)
    monkeypatch.setattr(sys, "stderr", full)
    monkeypatch.setattr("fivefold.cli.terminal.errors", Terminal(stderr=True))  # it keeps what it did not write
    logging.getLogger("fivefold.parts").warning("the work goes on without keeping more parts")
    monkeypatch.undo()
    with suppress(OSError):
        full.close()
