"""Plans: the shipped file, and what is said about an operator's that is wrong."""

from itertools import pairwise
from pathlib import Path

import pytest

from fivefold.domain.errors import ConfigError
from fivefold.store.accounts.plans import CHANGES_PER_MINUTE, MOST, MOST_DAYS, SHIPPED, Plan, plan_named, read_plans

SOUND = "rows_per_request: 1\n  calls_per_month: 2\n  users_per_month: 3\n"


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "plans.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_the_shipped_plans_can_be_read() -> None:
    plans = read_plans(None)
    assert SHIPPED.is_file()
    assert list(plans) == ["trial", "standard", "unlimited"]
    assert {name: plan.expires_days for name, plan in plans.items()} == {
        "trial": 14,
        "standard": None,
        "unlimited": None,
    }


def test_changes_by_tools_are_bounded_unless_a_plan_says_otherwise(tmp_path: Path) -> None:
    assert [plan.changes_per_minute for plan in read_plans(None).values()] == [10, 30, 300]
    path = written(tmp_path, f"mine:\n  {SOUND}yours:\n  {SOUND}  changes_per_minute: null\n")
    assert [plan.changes_per_minute for plan in read_plans(path).values()] == [CHANGES_PER_MINUTE, None]


def test_the_shipped_plans_rise() -> None:
    for smaller, larger in pairwise(read_plans(None).values()):
        for limit in ("rows_per_request", "calls_per_month", "users_per_month"):
            assert getattr(smaller, limit) < getattr(larger, limit)


def test_an_operators_plans_take_the_place_of_the_shipped_ones(tmp_path: Path) -> None:
    path = written(tmp_path, f"mine:\n  {SOUND}\nyours:\n  {SOUND}  expires_days: 30\n")
    assert read_plans(path) == {
        "mine": Plan(rows_per_request=1, calls_per_month=2, users_per_month=3),
        "yours": Plan(rows_per_request=1, calls_per_month=2, users_per_month=3, expires_days=30),
    }


def test_every_wrong_field_is_named(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "small:\n  rows_per_request: 0\n  calls_per_month: many\n  users_per_month: 1.5\n"
        "large:\n  rows_per_request: 1\n  calls_per_month: 2\n  user_per_month: 3\n  expires_days: -1\n",
    )
    with pytest.raises(ConfigError) as caught:
        read_plans(path)
    head, *lines = str(caught.value).splitlines()
    assert head == f"{path} (FIVEFOLD_PLANS_FILE) does not hold plans:"
    assert [line.split(":")[0].strip() for line in lines] == [
        "small.rows_per_request",
        "small.calls_per_month",
        "small.users_per_month",
        "large.users_per_month",
        "large.expires_days",
        "large.user_per_month",
    ]
    assert lines[-1].endswith(
        ": is not a limit here; perhaps users_per_month was meant; there are rows_per_request, calls_per_month, "
        "users_per_month, requests_per_minute, changes_per_minute, expires_days"
    )


@pytest.mark.parametrize("limit", ["rows_per_request", "calls_per_month", "users_per_month"])
def test_a_limit_beyond_what_databases_count_is_refused(tmp_path: Path, limit: str) -> None:
    most = SOUND.replace(f"{limit}:", f"{limit}: {MOST} #")
    assert getattr(read_plans(written(tmp_path, f"mine:\n  {most}"))["mine"], limit) == MOST
    with pytest.raises(ConfigError, match=f"mine.{limit}: .*less than or equal to {MOST}"):
        read_plans(written(tmp_path, f"mine:\n  {SOUND.replace(f'{limit}:', f'{limit}: {MOST + 1} #')}"))


def test_days_beyond_the_calendar_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mine\.expires_days"):
        read_plans(written(tmp_path, f"mine:\n  {SOUND}  expires_days: {MOST_DAYS + 1}\n"))


def test_a_name_that_no_column_holds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at most 100 characters"):
        read_plans(written(tmp_path, f"{'x' * 101}:\n  {SOUND}"))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "does not hold plans"),
        ("- a list", "does not hold plans"),
        ("mine: 3", "mine: "),
        ("mine:", "mine: "),
        ("1: {}", "1"),
        ("{}", "holds no plan"),
        ("a: [", "cannot be read"),
        ("a: !!python/object:os.system {}", "cannot be read"),
        (b"a: \xff\xfe", "cannot be read"),
        (b"a: \x00", "cannot be read"),
        ("[" * 5_000, "it is nested too deeply"),
        (f"a: {'1' * 5_000}", "it has a number of more than 4300 digits"),
    ],
)
def test_what_holds_no_plans_is_told_with_its_name(tmp_path: Path, text: str | bytes, what: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read_plans(path)
    assert str(path) in str(caught.value)
    assert what in str(caught.value)


def test_a_file_that_is_not_there_is_told_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml, as FIVEFOLD_PLANS_FILE says: No such file or directory$"):
        read_plans(tmp_path / "nowhere.yaml")


def test_an_unknown_plan_lists_those_that_there_are() -> None:
    plans = read_plans(None)
    assert plan_named(plans, "trial") is plans["trial"]
    with pytest.raises(ConfigError, match="there is no plan 'gold'; plans are trial, standard, unlimited"):
        plan_named(plans, "gold")
