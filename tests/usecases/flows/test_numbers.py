"""Numbers of runs and of their actions: each is given once, whatever was erased since, as it is named outside."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, text

from fivefold.usecases.audit.verify import AuditFinding, verify
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.flows.runs.answering import take_back_action
from fivefold.usecases.shared.context import Context
from tests.store.filling import filled_once
from tests.store.migrating import migrate_again, numbered_as_before
from tests.usecases.flows.flowing import LARGE, FlowBank
from tests.usecases.platforms import actor

pytestmark = pytest.mark.postgresql

LONG_DAYS = 6 * 365
CLOSED = LARGE.replace("note, open, tell", "note, tell")
"""Without the case that it opens: as long as that is open nobody is erased."""


@pytest.fixture
@filled_once
def bank(engine: Engine) -> FlowBank:
    """A run and its actions about a, and then about b; long ago, so that both may be erased."""
    bank = FlowBank(engine)
    bank.add_flow(CLOSED)
    for number, name in enumerate("ab", start=1):
        bank.post(number, 500, name)
        bank.work()
    return bank


def numbers(bank: FlowBank) -> tuple[list[int], list[int]]:
    return [run.id for run in bank.runs()], [action.id for action in bank.actions()]


def problems(bank: FlowBank) -> list[AuditFinding]:
    found: list[AuditFinding] = []
    verify(bank.engine, found.append)
    return found


def erased(bank: FlowBank, name: str, folder: Path) -> None:
    bank.wait(LONG_DAYS)
    erase_entity(bank.context, "customer", name, folder / "register")


def test_the_number_of_a_run_that_was_erased_names_no_other_one(bank: FlowBank, tmp_path: Path) -> None:
    runs, actions = numbers(bank)
    erased(bank, "b", tmp_path)
    assert max(numbers(bank)[0]) < max(runs), "the newest run is gone"
    bank.post(3, 500, "a")
    bank.work()
    after_runs, after_actions = numbers(bank)
    assert after_runs[-1] > max(runs)
    assert min(set(after_actions) - set(actions)) > max(actions)


def described(engine: Engine) -> dict[str, object]:
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")).all()
    found: dict[str, object] = {name: sql for name, sql in rows if name not in {"flow_runs", "flow_actions"}}
    for table in ("flow_runs", "flow_actions"):
        about = inspect(engine)
        found[table] = (about.get_columns(table), about.get_foreign_keys(table), about.get_unique_constraints(table))
        found[table] = (str(found[table]), str(about.get_check_constraints(table)))
    return found


def test_a_database_of_before_goes_on_behind_all_that_it_knows_and_keeps_what_it_has(
    bank: FlowBank, tmp_path: Path
) -> None:
    """Indexes, guards and references among it; and an action that a person took back is named by the audit log."""
    if bank.engine.dialect.name != "sqlite":
        return
    other = Context(bank.engine, actor(bank.of, "member:2"), lambda: bank.now)
    runs, actions = numbers(bank)
    newest = next(each for each in reversed(bank.actions()) if each.kind == "tag")
    take_back_action(other, newest.id, "It was wrong.")
    expected = described(bank.engine)
    numbered_as_before(bank.engine, "flow_runs", "flow_actions")
    erased(bank, "b", tmp_path)
    kept = numbers(bank)
    migrate_again(bank.engine, "0054", "0055")
    bank.engine.dispose()
    assert described(bank.engine) == expected
    assert numbers(bank) == kept
    with bank.engine.connect() as connection:
        last = dict(connection.execute(text("SELECT name, seq FROM sqlite_sequence")).all())
    assert last["flow_actions"] >= newest.id > max(kept[1])
    assert last["flow_runs"] >= max(runs) > max(kept[0]), "the audit log names the run that was erased"
    bank.post(3, 500, "a")
    bank.work()
    assert min(set(numbers(bank)[1]) - set(actions)) > newest.id
    assert numbers(bank)[0][-1] > max(runs)
    assert runs[0] in numbers(bank)[0]
    assert [each for each in problems(bank) if "flow_" in each.problem and "versions" not in each.problem] == []
    with pytest.raises(Exception, match=r"flow_runs|history|changed"), bank.engine.begin() as connection:
        connection.execute(text("UPDATE flow_runs SET cause = 'other'"))


TOLD = r"""UPDATE outbox SET body = '{"flow":"large","run":"f:40","title":"a \"run\":\"f:99\""}' WHERE id = 1"""


def test_a_run_that_only_an_event_names_is_not_named_again(bank: FlowBank) -> None:
    if bank.engine.dialect.name != "sqlite":
        return
    numbered_as_before(bank.engine, "flow_runs", "flow_actions")
    with bank.engine.begin() as connection:
        connection.exec_driver_sql(TOLD)
    migrate_again(bank.engine, "0054", "0055")
    bank.engine.dispose()
    bank.post(3, 500, "a")
    bank.work()
    assert numbers(bank)[0][-1] == 41
