"""Migrations: their text is frozen, and they begin only with the schema that they know."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, text

from fivefold.domain.errors import StoreError
from fivefold.store import migrations
from fivefold.store.sql import migrating
from fivefold.store.sql.database import require_current, upgrade
from tests.store import databases

FOLDER = Path(migrations.__file__).parent
FROZEN = Path(__file__).with_name("migrations.sha256")
"""A line for each file of the migrations, as `sha256sum` writes it."""


@pytest.fixture(params=databases.KINDS)
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with databases.opened(databases.new_url(request.param, tmp_path, migrated=False)) as engine:
        with engine.begin() as connection:
            migrating.migrate(connection, "0004")
        yield engine


def run(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


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
    run(older, "CREATE TABLE of_the_operator (number INTEGER)")
    upgrade(older)
    require_current(older)


def test_one_without_its_columns_or_guards_is_refused_and_left_as_it_is(older: Engine) -> None:
    without_guard = "DROP TRIGGER policies_history_update" + (" ON policies" if older.name == "postgresql" else "")
    run(older, "ALTER TABLE tokens DROP COLUMN salt", without_guard, "ALTER TABLE members ADD COLUMN pepper INTEGER")
    refusal = (
        r"has schema 0004 without tokens\.salt, policies\.policies_history_update and with members\.pepper:"
        r" a program from before the first release made it\. It cannot be brought forward, .* make it anew$"
    )
    with pytest.raises(StoreError, match=refusal):
        upgrade(older)
    with older.connect() as connection:
        assert migrating.revision_of(connection) == "0004"
    assert "lowest_alert_percent" in {column["name"] for column in inspect(older).get_columns("organisation_settings")}


def test_an_error_names_a_few_of_many_differences(older: Engine) -> None:
    columns = [f"ALTER TABLE members ADD COLUMN pepper_{number} INTEGER" for number in range(5)]
    run(older, *columns)
    with pytest.raises(StoreError, match=r"with members\.pepper_0, members\.pepper_1, members\.pepper_2 and 2 more:"):
        upgrade(older)
