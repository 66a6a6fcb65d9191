"""The hold of a challenge reaches what its entity owns; settlements rest on what is later than what is contested."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConflictError
from fivefold.store.tables.entities import Entity
from fivefold.usecases.erasure.erase import Erased, erase_entity
from fivefold.usecases.recourse.challenges import open_challenge, read_challenge
from fivefold.usecases.recourse.settlement import settle_challenge
from tests.store.filling import filled_once
from tests.usecases.banks import Bank
from tests.usecases.recourse.test_challenges import SAID, STANDS, by, numbered, opened, written

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
