"""Migrations: their text is frozen, and they begin only with the schema that they know.

There is one; those after it are invented here, as later releases will have some.
"""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, text

from fivefold.domain.errors import StoreError
from fivefold.store import migrations
from fivefold.store.sql import migrating
from fivefold.store.sql.database import SchemaWatch, require_current, upgrade
from fivefold.store.sql.migrating import SchemaVersionError
from tests.pace import until
from tests.store import databases

FOLDER = Path(migrations.__file__).parent
FROZEN = Path(__file__).with_name("migrations.sha256")
"""A line for each file of the migrations, as `sha256sum` writes it."""


INVENTED = {"0016": ("standings",), "0017": ("due_marks",), "0018": ("value_scores", "markings")}
"""Migrations that this program does not have, and the tables to which each adds a column."""
FOLDED = [f"{number:04}" for number in range(2, 16)]
"""Migrations that the first one contains since before the first release."""


def with_invented(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let this program be one of a later release, with the invented migrations."""
    shutil.copytree(FOLDER, folder)
    for revision, before in zip(INVENTED, ["0001", *INVENTED], strict=False):
        lines = [
            "import sqlalchemy as sa",
            "from alembic import op",
            f"revision, down_revision, branch_labels, depends_on = {revision!r}, {before!r}, None, None",
            "def upgrade():",
            f"    for table in {INVENTED[revision]}:",
            '        op.add_column(table, sa.Column("invented", sa.Integer(), nullable=False, server_default="7"))',
        ]
        (folder / "versions" / f"{revision}_invented.py").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setattr(migrating, "_MIGRATIONS", folder)


@pytest.fixture(params=databases.KINDS)
def older(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A database of this release, beside a program of a later one."""
    with databases.opened(databases.new_url(request.param, tmp_path, migrated=False)) as engine:
        upgrade(engine)
        with_invented(monkeypatch, tmp_path / "migrations")
        yield engine


on_postgresql = pytest.mark.parametrize("older", ["postgresql"], indirect=True)


def run(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def columns(engine: Engine, table: str) -> set[str]:
    return {column["name"] for column in inspect(engine).get_columns(table)}


def revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return migrating.revision_of(connection)


def test_the_text_of_a_migration_stays() -> None:
    """One that was changed in place had left databases with its number and without its columns."""
    files = [path for part in ("initial", "versions") for path in sorted((FOLDER / part).glob("*.py"))]
    lines = {
        path.relative_to(FOLDER).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.name != "__init__.py"
    }
    frozen = {name: code for code, _, name in (line.partition("  ") for line in FROZEN.read_text().splitlines())}
    changed = sorted(name for name, code in frozen.items() if lines.get(name) != code)
    assert not changed, (
        f"{', '.join(changed)}: databases exist that this made, and nothing would bring them forward; restore its text"
        " and write a new migration"
    )
    added = "\n".join(f"{code}  {name}" for name, code in lines.items() if name not in frozen)
    assert not added, f"add to {FROZEN}, once no database has the migration in another form:\n{added}"


def test_an_older_schema_as_it_was_made_is_brought_forward(older: Engine) -> None:
    run(
        older,
        "CREATE TABLE of_the_operator (number INTEGER)",
        "ALTER TABLE members ADD COLUMN of_the_operator INTEGER",
        "INSERT INTO organisations (id, name, created_us) VALUES (1, 'anyone', 1)",
    )
    upgrade(older)
    require_current(older)
    assert revision(older) == "0018"
    assert "of_the_operator" in columns(older, "members")
    assert all("invented" in columns(older, table) for tables in INVENTED.values() for table in tables)
    with older.connect() as connection:
        assert connection.scalar(text("SELECT name FROM organisations")) == "anyone"
        migrating.require_shape(connection)  # as before the next migration


def test_one_without_its_columns_or_guards_is_refused_and_left_as_it_is(older: Engine) -> None:
    without_guard = "DROP TRIGGER policies_history_update" + (" ON policies" if older.name == "postgresql" else "")
    run(older, "ALTER TABLE tokens DROP COLUMN salt", without_guard, "ALTER TABLE members ADD COLUMN pepper INTEGER")
    refusal = (
        r"has schema 0001 without tokens\.salt, policies\.policies_history_update and with members\.pepper:"
        r" a program from before the first release made it, or its tables were changed by other means\. Nothing was"
        r" changed\. Take back the change, or make the database anew and import its data again if it is from before the"
        r" first release$"
    )
    with pytest.raises(StoreError, match=refusal):
        upgrade(older)
    assert revision(older) == "0001"
    assert "invented" not in columns(older, "standings")


def test_one_of_the_newest_number_without_a_column_is_refused(older: Engine) -> None:
    """The program would have begun, and failed at the first row of that table."""
    upgrade(older)
    watch = SchemaWatch(older)
    run(older, "ALTER TABLE tags DROP COLUMN set_reason")
    for use in (lambda: upgrade(older), watch.require_usable):
        with pytest.raises(SchemaVersionError, match=r"has schema 0018 without tags\.set_reason and with"):
            use()


@pytest.mark.parametrize("kind", databases.KINDS)
def test_one_of_a_migration_that_was_folded_into_the_first_is_refused_with_what_to_do(
    kind: str, tmp_path: Path
) -> None:
    """It was told to run a matching version, which there is none of, or that its program may be a newer one."""
    with databases.opened(databases.new_url(kind, tmp_path)) as engine:
        running = SchemaWatch(engine)
        running.look()
        uses: list[Callable[[], object]] = [
            *(lambda: upgrade(engine), lambda: require_current(engine)),
            *(running.require_usable, SchemaWatch(engine).require_usable),
        ]
        for folded in FOLDED:
            run(engine, f"UPDATE alembic_version SET version_num = '{folded}'")
            refusal = (
                rf"^the database has schema {folded} of a program from before the first release, whose migrations are"
                r" folded into 0001 since then\. Nothing was changed\. Make the database anew, and import its data"
                r" again$"
            )
            for use in uses:
                with pytest.raises(SchemaVersionError, match=refusal):
                    use()
            assert revision(engine) == folded


def test_no_migration_has_the_number_of_one_that_was_folded() -> None:
    """Its databases could not be told from those of that one; the next number is 0016."""
    numbers = [path.name.partition("_")[0] for path in (FOLDER / "versions").glob("0*.py")]
    assert numbers
    assert not set(numbers) & set(FOLDED)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((), ("CREATE SCHEMA AUTHORIZATION CURRENT_USER",)),
        (('CREATE SCHEMA "Risk-1"', 'ALTER ROLE CURRENT_USER IN DATABASE {} SET search_path = "Risk-1"'), ()),
    ],
    ids=["a-schema-that-comes-later-and-first", "a-schema-whose-name-needs-quotes"],
)
def test_the_tables_are_those_that_the_search_path_of_postgresql_finds(
    before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    with databases.opened(databases.new_url("postgresql", Path(), migrated=False)) as engine:
        run(engine, *(statement.format(engine.url.database) for statement in before))
        engine.dispose()
        upgrade(engine)
        run(engine, *after)
        upgrade(engine)
        with engine.connect() as connection:
            migrating.require_shape(connection)
        run(engine, "ALTER TABLE tags DROP COLUMN set_reason")
        with pytest.raises(StoreError, match=r"without tags\.set_reason: a program from"):
            upgrade(engine)


def test_an_error_names_a_few_of_many_differences(older: Engine) -> None:
    added = [f"ALTER TABLE members ADD COLUMN pepper_{number} INTEGER" for number in range(5)]
    run(older, "ALTER TABLE tokens DROP COLUMN salt", *added)
    with pytest.raises(StoreError, match=r"with members\.pepper_0, members\.pepper_1, members\.pepper_2 and 2 more:"):
        upgrade(older)


@on_postgresql
def test_a_worker_that_takes_tables_in_another_order_goes_on_beside_an_upgrade(older: Engine) -> None:
    """One transaction for all migrations gathered locks, until PostgreSQL ended it or the worker's."""
    with ThreadPoolExecutor(1) as threads, older.begin() as worker:
        worker.execute(text("LOCK TABLE due_marks IN ROW EXCLUSIVE MODE"))
        upgrading = threads.submit(upgrade, older)
        until(lambda: revision(older) == "0016" and databases.waits_for_a_lock(older))
        worker.execute(text("LOCK TABLE standings IN ROW EXCLUSIVE MODE"))
        worker.commit()
        upgrading.result()
    require_current(older)


@on_postgresql
def test_a_worker_with_a_table_of_a_migration_that_changes_two_is_not_ended(older: Engine) -> None:
    """A migration that waited longer than the check for deadlocks left it to PostgreSQL which of the two to end."""
    with older.begin() as connection:
        migrating.migrate(connection, "0017")
    with ThreadPoolExecutor(1) as threads, older.begin() as worker:
        worker.execute(text("SET LOCAL deadlock_timeout = '0.8s'"))  # before the migration's own check, after 1 s
        worker.execute(text("LOCK TABLE markings IN ROW EXCLUSIVE MODE"))
        upgrading = threads.submit(upgrade, older)
        until(lambda: databases.waits_for_a_lock(older))
        worker.execute(text("LOCK TABLE value_scores IN ROW EXCLUSIVE MODE"))
        worker.commit()
        upgrading.result()
    require_current(older)


@on_postgresql
def test_a_migration_is_tried_again_and_lets_others_pass_meanwhile(
    older: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrating, "LOCK_SECONDS", 0.05)
    pauses: list[float] = []
    with ThreadPoolExecutor(1) as threads, older.connect() as worker:
        worker.execute(text("LOCK TABLE due_marks IN ROW EXCLUSIVE MODE"))
        monkeypatch.setattr(migrating, "sleep", lambda seconds: (pauses.append(seconds), worker.rollback()))
        threads.submit(upgrade, older).result()
    assert pauses == [migrating.PAUSE_SECONDS]
    require_current(older)


@on_postgresql
def test_a_migration_whose_table_stays_held_is_given_up(older: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrating, "LOCK_SECONDS", 0.05)
    monkeypatch.setattr(migrating, "PATIENCE_SECONDS", 0)
    with older.connect() as worker:
        worker.execute(text("LOCK TABLE due_marks IN ROW EXCLUSIVE MODE"))
        with pytest.raises(StoreError, match=r"not brought forward to 0017: for 0 s other programs held a table"):
            upgrade(older)
    assert revision(older) == "0016"
    upgrade(older)
    require_current(older)
