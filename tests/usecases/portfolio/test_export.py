"""The export of a customer who is erased meanwhile."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from fivefold.domain.clock import to_microseconds
from fivefold.domain.errors import NotFoundError
from fivefold.store.tables.audit import AuditEntry
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.levels import entity_profile
from fivefold.usecases.portfolio.export import export_customer
from fivefold.usecases.shared.context import Context
from tests.usecases.banks import Bank

NAME = "customer-17"


@pytest.mark.parametrize("reads", ["tags", "challenges"])
@pytest.mark.parametrize(
    ("again", "refusal"), [(True, "is another one than when its export began"), (False, "there is no customer")]
)
def test_an_export_is_of_one_customer_whoever_has_the_name_at_its_end(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool, refusal: str, reads: str
) -> None:
    bank, names = Bank(engine), entity_profile.list_tags
    bank.now = to_microseconds(datetime(2016, 1, 1, tzinfo=UTC))
    bank.put(NAME, country="NO")
    bank.wait(3650)
    context = Context(engine, bank.actor).at(bank.now)
    assert export_customer(context, "customer", NAME, by="ana", form="json").attributes == {"country": "NO"}

    def erased_meanwhile(*_: object) -> tuple[()]:
        erase_entity(context, "customer", NAME, tmp_path / "register")
        if again:
            bank.put(NAME, country="SE")
        return ()

    challenges = erased_meanwhile if reads == "challenges" else tuple
    if reads == "tags":
        monkeypatch.setattr(entity_profile, "list_tags", erased_meanwhile)
    with pytest.raises(NotFoundError, match=refusal):
        export_customer(context, "customer", NAME, by="ana", form="json", open_challenges=challenges)
    monkeypatch.setattr(entity_profile, "list_tags", names)
    with Session(engine) as session:
        exports = select(func.count()).where(AuditEntry.action == "customer.exported")
        assert session.scalar(exports) == 1
