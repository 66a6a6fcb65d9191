"""Crowds: who shares what too many share is looked at again when a link makes it a crowd, and when one ends it."""

from typing import Any

import pytest
from sqlalchemy import Engine

from fivefold.domain.clock import DAY_US
from fivefold.risk.facts.groups import links as engine_links
from fivefold.usecases.ingest import links as ingest
from fivefold.usecases.ingest.facts import set_tag
from fivefold.usecases.levels.groups import links as reading
from fivefold.usecases.levels.groups import reach
from fivefold.usecases.rulesets.activate import advance_markings
from tests.store.filling import filled_once
from tests.usecases.banks import Bank
from tests.usecases.levels.groups.linking import FRAUD, document, linked_bank, put

UNKNOWN = ["3", "3", "3", "3"]
KNOWN = ["0", "65", "65", "0"]
"""Of a, who has the tag, of b and c, who share with it, and of d, who shares no more."""


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    made = linked_bank(engine)
    made.activate(document(fraud=FRAUD))
    set_tag(made.context, "customer", "a", "fraud")
    return made


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let three share something with each other, and four be too many."""
    for module in (engine_links, reading, reach, ingest):
        monkeypatch.setattr(module, "MOST_LINKED", 2)
    monkeypatch.setattr(reading, "MOST_READ", 5)


def shop(bank: Bank, *names: str, begins: float | None = None, ends: float | None = None) -> None:
    """Link entities to the shop, from and until so many days from now."""
    moments: list[Any] = [None if days is None else bank.now + int(days * DAY_US) for days in (begins, ends)]
    put(bank, *((name, "household", "shop", *moments) for name in names))


def scores(bank: Bank) -> list[str | None]:
    """Give the scores, once all marked entities have been assessed."""
    bank.settle()
    while advance_markings(bank.engine, bank.now):
        pass
    bank.settle()
    return [bank.assessments(name)[-1].score for name in "abcd"]


@pytest.mark.postgresql
@pytest.mark.parametrize("before", [None, -2], ids=["new", "again"])
def test_one_more_makes_a_crowd_of_which_nothing_is_known(bank: Bank, before: int | None) -> None:
    shop(bank, *"abc")
    if before is not None:
        shop(bank, "d", ends=before)
    assert scores(bank)[:3] == KNOWN[:3]
    bank.wait(1)
    shop(bank, "d")
    assert scores(bank) == UNKNOWN


def test_one_more_that_was_there_before_makes_a_crowd_too(bank: Bank) -> None:
    shop(bank, *"abc")
    scores(bank)
    bank.wait(1)
    shop(bank, "d", begins=-2)
    assert scores(bank) == UNKNOWN


@pytest.mark.postgresql
@pytest.mark.parametrize("ends", [-2.0, 0.0, 2.0], ids=["before", "now", "later"])
def test_what_is_a_crowd_no_more_is_known_again(bank: Bank, ends: float) -> None:
    shop(bank, *"abc")
    shop(bank, "d", begins=-5)
    assert scores(bank) == UNKNOWN
    bank.wait(1)
    shop(bank, "d", ends=ends)
    if ends > 0:
        assert scores(bank) == UNKNOWN
        bank.wait(ends)
    assert scores(bank) == KNOWN


def test_a_link_to_a_crowd_that_was_taken_back_lets_the_others_know(bank: Bank) -> None:
    shop(bank, *"abc")
    shop(bank, "d", begins=-5)
    assert scores(bank) == UNKNOWN
    shop(bank, "d", begins=-5, ends=-5)
    assert scores(bank)[:3] == KNOWN[:3]


def test_links_that_leave_a_crowd_a_crowd_make_nobody_else_due(bank: Bank) -> None:
    """However many facts come about what thousands share."""
    for name in "efgh":
        bank.put(name)
    shop(bank, *"abcde")
    bank.settle()
    bank.wait(1)
    shop(bank, "f")
    assert bank.settle() == 1
    shop(bank, "f", ends=0)
    assert bank.settle() == 1
    shop(bank, "g", begins=1, ends=2)
    assert bank.settle() == 1


def test_a_crowd_of_more_than_are_marked_at_once_is_looked_at_with_everybody(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "MOST_MARKED", 1)
    shop(bank, *"abc")
    assert scores(bank)[:3] == KNOWN[:3]
    bank.wait(1)
    shop(bank, "d")
    assert scores(bank) == UNKNOWN
