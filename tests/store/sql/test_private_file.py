"""A database in a file is read by its owner alone, unless its owner says otherwise."""

import stat
from pathlib import Path

from fivefold.store.sql.database import open_database


def test_a_new_file_is_its_owners_alone_and_one_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    file = tmp_path / "fivefold.db"
    for mode in (0o600, 0o640):
        engine = open_database(f"sqlite:///{file}")
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS t (a)")
        engine.dispose()
        assert stat.S_IMODE(file.stat().st_mode) == mode
        file.chmod(0o640)
