"""A bank with a retention policy, for tests of what it removes."""

from fivefold.domain.clock import DAY_US
from fivefold.usecases.accounts.settings import SettingsChange, change_settings_in
from fivefold.usecases.erasure.retention import RetentionLine, preview_retention, remove_next_parts
from tests.usecases.banks import Bank

YEAR = 365


def announce(bank: Bank) -> None:
    """Let the levels of `first` and `second` be announced a year ago, and that of `third` today."""
    bank.wait(-YEAR)
    for name in ("first", "second"):
        bank.put(name, country="KP")
    bank.settle()
    bank.wait(YEAR)
    bank.put("third", country="KP")
    bank.settle()


def keep(bank: Bank, **days: int) -> None:
    """Let a policy hold, as if it had been approved."""
    with bank.context.writing() as session:
        change_settings_in(session, bank.context, SettingsChange(**days))  # type: ignore[arg-type]  # all of them are numbers


def remove(bank: Bank, most_parts: int = 1_000) -> dict[str, int]:
    """Let a worker remove all there is to remove now, or so many parts of it; rows by kind."""
    removed: dict[str, int] = {}

    def count(kind: str, rows: int) -> None:
        removed[kind] = removed.get(kind, 0) + rows

    for _ in range(most_parts):
        if not remove_next_parts(bank.engine, bank.now, count):
            break
    return {kind: rows for kind, rows in removed.items() if rows}


def line(bank: Bank, kind: str, days: int | None = None) -> RetentionLine:
    """What a dry run says of a kind."""
    lines = {each.kind: each for each in preview_retention(bank.context, {kind: days})}
    return lines[kind]


def days_ago(bank: Bank, days: int) -> int:
    return bank.now - days * DAY_US
