"""Numbers of runs and of their actions: each is given once, whatever was erased since, as it is named outside."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from fivefold.usecases.erasure.erase import erase_entity
from tests.store.filling import filled_once
from tests.usecases.flows.flowing import LARGE, FlowBank

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
