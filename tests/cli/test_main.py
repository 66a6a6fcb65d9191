"""The entry point: whatever a beginner gets wrong is told in plain words, with exit code 2 and no traceback."""

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import typer

from fivefold.cli import lazy
from fivefold.cli.main import OUT_OF_MEMORY, UNFORESEEN, app, main
from fivefold.features.catalogue_page import catalogue_markdown
from fivefold.features.indicator_matrix import catalogue
from tests.cli.running import AS_OF, Done, Home, refuse, run, succeed

GROUP = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # it is a group of commands
COMMANDS = sorted(GROUP)


@pytest.fixture(scope="module")
def folder(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that cannot be used, each in its own way."""
    folder = tmp_path_factory.mktemp("wrong")
    table = home.table
    table.drop("user_balance").write_csv(folder / "lacking.csv")
    table.write_csv(folder / "good.csv")
    table.head(0).write_csv(folder / "heading.csv")
    (folder / "empty.csv").touch()
    (folder / "empty.parquet").touch()
    (folder / "rows.txt").touch()
    (folder / "bad.json").write_text('{"user_id": ')
    (folder / "nothing").mkdir()
    worse = table.head(3).with_columns(user_category=pl.lit("APP"), user_balance=pl.Series([1.0, float("nan"), 1e16]))
    worse.write_parquet(folder / "worse.parquet")
    return folder


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.parquet"], "none.parquet does not exist; give a file ending in .parquet, .csv, .json, .jsonl, .ndjson"),
        (["rows.txt"], "rows.txt ends in '.txt'; files that can be read end in .parquet, .csv"),
        (["lacking.csv"], "lacking.csv has no column user_balance; it has user_id, transaction_id, "),
        (["heading.csv"], "heading.csv has no rows"),
        (["empty.csv"], "empty.csv is empty (0 bytes)"),
        (["empty.parquet"], "empty.parquet cannot be read as Parquet"),
        (["bad.json"], "bad.json is not valid JSON"),
        (["nothing"], "nothing is a folder without a file ending in .parquet"),
        (["worse.parquet"], "Data not valid: 5 problems in "),
        (["good.csv", "--output", "none/a.csv"], "a.csv cannot be written: there is no folder "),
        (["good.csv", "--output", "a.xlsx"], "a.xlsx; it must end in .parquet, .csv, .json, .jsonl, .ndjson"),
        (["good.csv", "--as-of", "yesterday"], "--as-of is 'yesterday'; it must be an ISO 8601 date or time such as"),
        (["good.csv", "--as-of", "2024-02-30"], "--as-of is '2024-02-30'; it must be"),
        (["good.csv", "--as-of", ""], "--as-of is ''; it must be"),
        (["good.csv", "--compare-as-of", ""], "--compare-as-of is ''; it must be"),
        (["good.csv", "--compare-as-of", "01.07.2024"], "--compare-as-of is '01.07.2024'; it must be"),
        (["good.csv", "--name", "other"], "other has no champion in "),
        (["good.csv", "--model", "fivefold-value"], "it must be models:/NAME/VERSION or models:/NAME@ALIAS"),
        (["good.csv", "--model", "models:/fivefold-value/77"], "models:/fivefold-value/77 cannot be loaded from "),
        (["good.csv", "--model", "77"], "models:/fivefold-value/77 cannot be loaded from "),
        (["good.csv", "--model", "models:/nothing/1"], "models:/nothing/1 cannot be loaded from "),
        (["good.csv", "--model", "models:/fivefold-value@nobody"], "models:/fivefold-value@nobody cannot be loaded"),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else "",
)
def test_what_score_refuses(
    arguments: list[str], words: str, home: Home, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    output = [] if "--output" in arguments else ["--output", "a.csv"]
    as_of = [] if "--as-of" in arguments else ["--as-of", AS_OF]
    assert words in refuse(home.var, "score", *arguments, *output, *as_of)
    assert sorted(folder.rglob("*")) == before


def test_every_bad_row_is_named_at_once(home: Home, folder: Path) -> None:
    lines = refuse(home.var, "score", folder / "worse.parquet", "--as-of", AS_OF).splitlines()[1:]
    assert sorted(line.partition(";")[0] for line in lines) == [
        "rows 1, 2, 3: user_category is 'APP'",
        "rows 2, 3: user_balance is nan, 1e+16",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Usage: fivefold"),
        (["frobnicate"], "No such command 'frobnicate'"),
        (["score"], "Missing argument"),
        (["score", "a.csv", "--frob"], "No such option: --frob"),
        (["explain", "a.csv"], "Missing option '--user'"),
        (["promote", "first"], "Invalid value for 'version'"),
        (["train", "--tune", "-1"], "Invalid value for '--tune'"),
        (["explain", "a.csv", "--user", "a", "--most", "0"], "Invalid value for '--most'"),
    ],
)
def test_what_cannot_be_understood(arguments: list[str], words: str, fresh: Path) -> None:
    done = run(fresh, *arguments)
    assert done.code == 2
    assert words in done.err + done.out
    assert "Traceback" not in done.err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_helps(command: str, fresh: Path) -> None:
    out = succeed(fresh, command, "--help", columns=80)
    assert out.startswith(f"Usage: fivefold {command} ")
    assert max(map(len, out.splitlines())) <= 80


def test_the_overview_imports_no_command_and_nothing_heavy() -> None:
    program = (
        "import sys; sys.argv = ['fivefold', '--help']\n"
        "from fivefold.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(' '.join(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    imported = set(done.stderr.split())
    assert done.stdout.startswith("Usage: fivefold")
    heavy = {"numpy", "pandas", "polars", "pyarrow", "pydantic", "rich.console", "sqlalchemy", "mlflow", "altair"}
    assert imported & heavy == set()
    assert {name for name in imported if name.startswith("fivefold.cli.")} == {
        "fivefold.cli.lazy",
        "fivefold.cli.main",
        "fivefold.cli.signals",
    }
    assert len(imported) < 400


def test_every_command_is_summed_up_by_its_own_first_sentence() -> None:
    """A command that is added, renamed or described anew is to be named so in cli/lazy.py."""
    assert {name: GROUP[name].get_short_help_str(200) for name in GROUP} == {
        name: summary for name, (_, summary) in lazy.COMMANDS.items()
    }


def test_no_two_options_of_a_command_have_one_name() -> None:
    """The first of the two could not be given: Click takes the last."""

    def twice(command: Any, path: str) -> list[str]:
        options = [name for each in command.params for name in (*each.opts, *each.secondary_opts)]
        own = [f"{path} {name}" for name in sorted(set(options)) if options.count(name) > 1]
        return own + [text for name, one in getattr(command, "commands", {}).items() for text in twice(one, name)]

    assert [text for name in COMMANDS for text in twice(GROUP[name], name)] == []


def test_the_version_is_shown(fresh: Path) -> None:
    assert re.fullmatch(r"fivefold [0-9.]+, Python 3\.[0-9.]+\n", succeed(fresh, "--version"))


def test_the_overview_names_every_command(fresh: Path) -> None:
    out = succeed(fresh, "--help", columns=80)
    assert [command for command in COMMANDS if f"\n  {command} " not in out] == []
    headings = [f"{heading}:" for heading in lazy.HEADINGS.values()]
    lines = [line for line in out.partition("Options:")[2].splitlines() if line]
    assert [line for line in lines if not line.startswith(" ")] == headings
    commands = [line for line in lines[lines.index(headings[0]) :] if line.startswith(" ")]
    assert [line for line in commands if not line.endswith(".") or line.endswith("...")] == []


def test_the_catalogue_is_printed_whole(fresh: Path) -> None:
    out = succeed(fresh, "indicators", columns=80)
    assert [name for name in catalogue().names if not any(line.startswith(name) for line in out.splitlines())] == []
    assert out.startswith(f"{len(catalogue().names)} indicators\n")
    assert out.endswith(f"fingerprint {catalogue().fingerprint}\n")
    assert max(map(len, out.splitlines())) <= 80


def test_the_catalogue_as_a_page(fresh: Path) -> None:
    assert succeed(fresh, "indicators", "--markdown") == catalogue_markdown()


def test_warming_up_says_so(fresh: Path) -> None:
    assert succeed(fresh, "warm") == "The indicators are compiled.\n"


def test_a_place_that_cannot_be_written_is_named(home: Home, tmp_path: Path) -> None:
    (tmp_path / "var").touch()
    for command in ("rollback", "models"):
        said = f"{tmp_path / 'var'} is not a folder; FIVEFOLD_VAR must name one"
        assert refuse(tmp_path / "var", command) == said
    (tmp_path / "a.csv").mkdir()
    said = refuse_after_output(home, tmp_path / "a.csv")
    assert str(tmp_path / "a.csv") in said


@pytest.mark.parametrize("command", [["sample", "out"], ["simulate", "--customers", "20", "-o", "out/a.parquet"]])
def test_a_full_disk_is_named_and_nothing_is_left(command: list[str], tmp_path: Path) -> None:
    """A file may have 1,000 bytes: Polars, and pyarrow beside parts, are told so by the system."""
    program = (
        "import resource, sys; from fivefold.cli.main import main;"
        " sys.argv = ['fivefold', *sys.argv[1:]]; sys.dont_write_bytecode = True;"
        " resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); main()"
    )
    start = [sys.executable, "-c", program, *command]
    done = subprocess.run(start, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.search(r"^fivefold: \S*out/\S+: File too large$", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_damaged_page_of_the_database_is_named_with_its_file(tmp_path: Path) -> None:
    run(tmp_path, "tokens", "create", "--plan", "trial")
    file = tmp_path / "fivefold.db"
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [[page]] = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'tokens'")
        [[size]] = database.execute("PRAGMA page_size")
    with file.open("r+b") as opened:
        opened.seek((page - 1) * size)
        opened.write(b"\x07" * size)
    for command in (["tokens", "list"], ["tokens", "create", "--plan", "trial"], ["audit", "verify"]):
        assert refuse(tmp_path, *command) == (
            f"the database's file is damaged: {file}: database disk image is malformed; put a backup of it back, as"
            " docs/operations.md says"
        )


def test_ctrl_c_is_told_with_the_exit_code_of_shells(
    fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails(monkeypatch, KeyboardInterrupt())
    done = run(fresh, "simulate", "-o", tmp_path / "a.parquet")
    assert done == Done(130, "", "fivefold: stopped; no file is half written\n")


def test_where_memory_is_out_one_line_says_what_helps(
    fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails(monkeypatch, MemoryError())
    done = run(fresh, "simulate", "-o", tmp_path / "a.parquet")
    assert done == Done(2, "", f"fivefold: {OUT_OF_MEMORY}\n")
    assert "docs/scale.md" in OUT_OF_MEMORY


@pytest.mark.parametrize("kind", [OSError, ImportError])  # of a library opened by name, and of a module linked with it
def test_a_library_that_the_system_lacks_is_named_with_its_package(
    kind: type[Exception], fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails(monkeypatch, kind("libgomp.so.1: cannot open shared object file: No such file or directory"))
    done = run(fresh, "simulate", "-o", tmp_path / "a.parquet")
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert done.err.startswith("fivefold: libgomp.so.1: cannot open shared object file")
    assert "libgomp1 on Debian" in done.err


def test_an_account_without_a_home_is_told_to_set_one(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account without an entry and without HOME: MLflow asks for the folder as it is imported."""
    with pytest.raises(RuntimeError) as raised:
        Path("~-no-account").expanduser()
    fails(monkeypatch, raised.value)
    done = run(fresh, "simulate", "-o", fresh / "a.parquet")
    said = f"fivefold: the system knows no home folder of this account ({os.geteuid()}), but MLflow needs one; set HOME"
    assert done == Done(2, "", f"{said}\n")


@pytest.mark.parametrize("error", [OSError(28, "wherever"), OSError("No space left on device (os error 28)")])
def test_a_full_disk_is_told_where_no_file_is_named(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    """Polars raises an OSError without a number."""
    fails(monkeypatch, error)
    assert run(fresh, "simulate", "-o", "a.parquet") == Done(2, "", "fivefold: No space left on device\n")


def test_what_fivefold_did_not_foresee_is_not_hidden(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The traceback is shown, and the exit code is that of errors: 1 would say that a check found something."""
    panic = pl.exceptions.PanicException("of Polars")  # a BaseException
    for error in (OSError("of no file"), ZeroDivisionError("ours"), ModuleNotFoundError("ours"), panic):
        fails(monkeypatch, error)
        done = run(fresh, "simulate", "-o", "a.parquet")
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("Traceback (most recent call last)")
        assert done.err.endswith(f"{type(error).__name__}: {error}\nfivefold: {UNFORESEEN}\n")


@pytest.mark.parametrize("answer", [typer.Abort(), EOFError()], ids=["no", "the-end-of-the-input"])
def test_who_does_not_say_yes_refuses_the_command(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, answer: BaseException
) -> None:
    fails(monkeypatch, answer)
    done = run(fresh, "simulate", "-o", "a.parquet")
    assert (done.code, done.out, done.err.strip()) == (2, "", "Aborted!")


def test_ctrl_c_at_a_question_stops_the_command(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = typer.Abort()
    stopped.__context__ = KeyboardInterrupt()  # as click raises it
    fails(monkeypatch, stopped)
    done = run(fresh, "simulate", "-o", "a.parquet")
    assert (done.code, done.out) == (130, "")
    assert done.err.endswith("fivefold: stopped; no file is half written\n")


def test_a_stop_outside_of_a_command_is_that_of_python(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fivefold.cli.main.app", stop)
    with pytest.raises(KeyboardInterrupt):
        main()


def fails(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def write_simulation(*_: object) -> None:
        raise error

    monkeypatch.setattr("fivefold.training.simulation.simulator.write_simulation", write_simulation)


def refuse_after_output(home: Home, output: Path) -> str:
    done = run(home.var, "score", home.rows, "--as-of", AS_OF, "-o", output)
    assert done.code == 2
    assert done.err.startswith("fivefold: ")
    assert [path.name for path in output.parent.iterdir() if path.suffix == ".part"] == []
    return done.err


def test_a_text_that_the_locale_cannot_write_is_told_with_what_to_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: Any) -> None:
        "\udcc3".encode()

    monkeypatch.setattr("fivefold.cli.main.app", fail)
    lacking = "fivefold: a text, such as a path or an identifier, has a character that this locale, of the "
    for encoding, words in (("ascii", lacking), ("utf-8", "Traceback")):
        monkeypatch.setattr("sys.getfilesystemencoding", lambda encoding=encoding: encoding)
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 2
        said = capsys.readouterr().err
        assert said.startswith(words)
        assert ("set LC_ALL=C.UTF-8" in said) is (encoding == "ascii")
