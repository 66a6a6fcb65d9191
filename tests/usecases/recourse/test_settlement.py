"""The hold of a challenge reaches what its entity owns; settlements rest on what is later than what is contested."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConflictError
from fivefold.store.tables.entities import Entity
from fivefold.usecases.erasure.erase import Erased, erase_entity
from fivefold.usecases.ingest.facts import add_screening, set_tag
from fivefold.usecases.recourse.challenges import open_challenge, read_challenge
from fivefold.usecases.recourse.settlement import settle_challenge
from tests.store.filling import filled_once
from tests.usecases.banks import Bank
from tests.usecases.recourse.test_challenges import (
    SAID,
    STANDS,
    approved,
    by,
    corrected,
    numbered,
    opened,
    overridden,
    written,
)

pytestmark = pytest.mark.postgresql


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    """A customer at medium by their income, and another one, both assessed once; the first owns an account."""
    made = written(engine)
    for name in "ab":
        made.put(name, income=1234.5, country="NO")
    made.add_type("account", {}, {})
    made.put("x", ("customer", "a"), "account")
    made.pay(7, "x", kind="account", transaction_id="t7")
    made.settle()
    made.wait(days=1)
    return made


def erased(bank: Bank, folder: Path, kind: str = "account", name: str = "x") -> Erased:
    """Erase once retention is over."""
    return erase_entity(bank.context.at(bank.now + 3650 * DAY_US), kind, name, folder / "register")


@pytest.mark.parametrize("owner", ["present", "former"])
def test_an_account_of_a_person_who_contests_is_kept(bank: Bank, tmp_path: Path, owner: str) -> None:
    made = opened(bank)
    if owner == "former":
        bank.wait(days=1)
        bank.put("x", ("customer", "b"), "account")
    with pytest.raises(ConflictError, match=f"challenge {made.id} contests assessment {made.assessment}"):
        erased(bank, tmp_path)
    assert read_challenge(bank.context, made.id).record_unchanged
    settle_challenge(by(bank, 2), made.id, STANDS)
    assert erased(bank, tmp_path).entity_ids


def test_another_person_is_erased_while_one_contests(bank: Bank, tmp_path: Path) -> None:
    bank.put("x", ("customer", "b"), "account")
    open_challenge(bank.context, numbered(bank), SAID)
    number = bank.id_of("b")
    assert erased(bank, tmp_path, "customer", "b").entity_ids == (number,)


def test_erasure_waits_for_a_challenge_that_is_being_opened(bank: Bank, tmp_path: Path) -> None:
    if bank.engine.dialect.name == "sqlite":
        pytest.skip("it has one writer")
    with ThreadPoolExecutor(1) as pool:
        with bank.context.writing() as session:
            session.execute(select(Entity.id).where(Entity.external_id == "a").with_for_update(key_share=True))
            erasure = pool.submit(erased, bank, tmp_path)
            with pytest.raises(TimeoutError):
                erasure.result(1)
        assert erasure.result(60).entity_ids


def assessed_later(bank: Bank) -> None:
    """A fact of the very moment of an assessment may be in it or not, so none is."""
    bank.wait(days=1)
    bank.settle()
    bank.wait(days=1)


def different(bank: Bank, **fields: object) -> str:
    """Send fields that differ, and assess; give the number of the new assessment."""
    bank.put("a", **{"income": 5.0, "country": "NO", **fields})
    assessed_later(bank)
    return numbered(bank)


def test_an_assessment_of_before_the_correction_settles_nothing(bank: Bank) -> None:
    first = numbered(bank)
    second = different(bank)
    bank.pay(9, "a", transaction_id="t9")
    bank.wait(days=1)
    made = open_challenge(bank.context, first, SAID)
    with pytest.raises(ConflictError, match=f"comes to the very same as in assessment {second}, which is of before"):
        settle_challenge(by(bank, 2), made.id, corrected("transaction t9"))
    with pytest.raises(ConflictError, match="comes to the very same"):
        settle_challenge(by(bank, 2), made.id, corrected("field income", "transaction t9"))
    assert settle_challenge(by(bank, 2), made.id, corrected("field income")).new_assessment == second


def test_the_first_assessment_since_the_last_change_is_linked(bank: Bank) -> None:
    first = numbered(bank)
    different(bank, country="RU")
    third = different(bank, country="KP")
    assert different(bank, country="KP", income=1234.5) != third
    made = open_challenge(bank.context, first, SAID)
    assert settle_challenge(by(bank, 2), made.id, corrected("field country")).new_assessment == third


def test_the_same_result_screened_again_is_no_later_change(bank: Bank) -> None:
    made = opened(bank)
    numbers = []
    for found in (True, False, False):
        add_screening(bank.context, "customer", "a", "sanctions", found=found, at_us=bank.now)
        bank.wait(days=1)
        assessed_later(bank)
        numbers.append(numbered(bank))
    assert len({made.assessment, *numbers[:2]}) == 3
    assert settle_challenge(by(bank, 2), made.id, corrected("screening sanctions")).new_assessment == numbers[1]


def test_a_tag_that_was_set_after_an_assessment_is_not_in_it(bank: Bank) -> None:
    bank.put("a", income=5.0, country="NO")
    made = opened(bank)
    assessed_later(bank)
    set_tag(bank.context, "customer", "a", "unread")
    with pytest.raises(ConflictError, match="comes to the very same"):
        settle_challenge(by(bank, 2), made.id, corrected("tag unread"))
    bank.wait(days=1)
    set_tag(bank.context, "customer", "a", "watch")
    assessed_later(bank)
    third = numbered(bank)
    bank.wait(days=1)
    set_tag(bank.context, "customer", "a", "other")
    bank.wait(days=1)
    assert settle_challenge(by(bank, 2), made.id, corrected("tag watch")).new_assessment == third


def test_an_override_without_effect_is_linked_to_no_earlier_assessment(bank: Bank) -> None:
    first = numbered(bank)
    bank.put("a", income=5.0, country="KP")
    assessed_later(bank)
    made = open_challenge(bank.context, first, SAID)
    bank.wait(days=1)
    number = approved(bank, "high")
    second = numbered(bank)
    done = settle_challenge(by(bank, 2), made.id, overridden(number))
    assert done.new_assessment == numbered(bank) != second
