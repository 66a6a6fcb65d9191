"""What statements of several modules share: the insert of each dialect, and an option."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy.dialects import postgresql, sqlite

INSERTS: Final[Mapping[str, Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
"""The insert of each dialect: unlike the common one it may leave a row as it is, or change it, where one is there."""
UNSEEN: Final[Mapping[str, Any]] = {"synchronize_session": False}
"""The option of a statement on rows that the session does not hold."""
