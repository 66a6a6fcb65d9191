"""What is sent again as it is adds no row and no entry to the log, makes nobody due, and asks no second person."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from fivefold.domain.clock import DAY_US
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.accounts.organisations import add_member, set_roles
from fivefold.usecases.accounts.rate_tables import rates_from_rows
from fivefold.usecases.accounts.second_person import require_two_people
from fivefold.usecases.accounts.settings import SettingsChange, choose_levels
from fivefold.usecases.changes import asks
from fivefold.usecases.erasure.erase import set_legal_hold
from fivefold.usecases.ingest.bulk_facts import RecordRow, TagRow, put_records, put_tags
from fivefold.usecases.ingest.facts import RecordGiven, add_screening, put_record, set_tag
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.shared.context import Context
from fivefold.usecases.webhooks.endpoints import add_endpoint, drop_old_secrets
from tests.store.filling import filled_once
from tests.usecases import banks, platforms
from tests.usecases.banks import Bank
from tests.usecases.governed import document, founded

pytestmark = pytest.mark.parametrize("kind", ["sqlite"])
UNTIL = platforms.NOW + 30 * DAY_US
WATCHED = ("watched", platforms.NOW, ["IR"], "Watched", "our own")
DIRHAM = rates_from_rows([{"currency": "AED", "date": "2024-06-28", "rate": 0.25}], "our treasury")


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    """A bank that a ruleset decides for, so that changes need two people."""
    made = Bank(engine)
    made.activate(banks.document({"country": banks.COUNTRY, "watch": banks.WATCH}))
    made.put("a")
    made.settle()
    return made


def of_a(bank: Bank) -> tuple[Context, str, str]:
    return (bank.context, "customer", "a")


def rows(bank: Bank) -> dict[str, Any]:
    tables = ("tags", "screenings", "records", "attributes", "proposals", "rate_tables", "list_versions")
    with bank.engine.connect() as connection:
        counts = {
            table: connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
            for table in (*tables, "audit_entries")
        }
        due = connection.execute(text("SELECT entity_id, due_us FROM due_marks ORDER BY 1")).all()
    return {**counts, "due": [tuple(row) for row in due]}


CALLS: dict[str, Callable[[Bank, Path], object]] = {
    "a tag": lambda bank, _: set_tag(*of_a(bank), "watch"),
    "a tag with an end": lambda bank, _: set_tag(*of_a(bank), "watch", until_us=UNTIL),
    "a screening": lambda bank, _: add_screening(*of_a(bank), "pep", has_match=True, at_us=platforms.NOW - DAY_US),
    "a case": lambda bank, _: put_record(
        *of_a(bank), "case", RecordGiven(external_id="7", opened_us=platforms.NOW - DAY_US)
    ),
    "attributes": lambda bank, _: bank.put("a", country="NO"),
    "a type": lambda bank, _: define_type(bank.context, "customer", {"vip": "flag"}),
    "a hold": lambda bank, folder: set_legal_hold(*of_a(bank), UNTIL, "a court", folder / "register"),
    "two people": lambda bank, _: require_two_people(bank.context, "as agreed"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_same_call_a_day_later_leaves_nothing(
    bank: Bank, call: Callable[[Bank, Path], object], tmp_path: Path
) -> None:
    call(bank, tmp_path)
    bank.settle()
    bank.wait(days=1)
    bank.settle()
    before = rows(bank)
    call(bank, tmp_path)
    assert rows(bank) == before


def test_roles_secrets_and_a_draft_that_are_so_already_are_not_said_to_have_changed(bank: Bank) -> None:
    member = add_member(Context(bank.engine, bank.actor), "Ana", ["investigator", "approver"]).id
    three = founded(bank.engine, "another")
    endpoint = add_endpoint(Context(bank.engine, bank.actor), "https://8.8.8.8/hook").endpoint_id
    revision = save_draft(Context(bank.engine, three[0]), document()).revision
    before = rows(bank)
    assert set_roles(Context(bank.engine, bank.actor), member, ["approver", "investigator"]).roles == (
        "approver",
        "investigator",
    )
    assert drop_old_secrets(Context(bank.engine, bank.actor), endpoint) == 0
    assert save_draft(Context(bank.engine, three[0]), document(), revision).revision == revision
    assert rows(bank) == before
    assert save_draft(Context(bank.engine, three[1]), document(), revision).revision == revision + 1, "a second editor"


def test_settings_lists_and_rates_that_hold_already_are_not_proposed(engine: Engine) -> None:
    """The first time nothing decides yet, so each is done at once; later each would need a second person."""
    bank = Bank(engine)
    choose_levels(Context(engine, bank.actor), ["low", "medium", "high"])
    asks.put_list_version(bank.context, *WATCHED)
    asks.put_rates(bank.context, DIRHAM)
    bank.activate(banks.document({"country": banks.COUNTRY}))
    bank.put("a")
    bank.settle()
    before = rows(bank)
    later = bank.context.at(bank.now + DAY_US)
    again = [
        asks.put_list_version(later, *WATCHED),
        asks.put_rates(later, DIRHAM),
        asks.change_settings(bank.context, SettingsChange(override_cap_percent=10)),
    ]
    assert [(one.proposal, one.changes) for one in again] == [(None, False)] * 3
    assert rows(bank) == before


def test_an_import_changes_many_tags_and_cases_in_one_statement_each(bank: Bank) -> None:
    names = [f"c{number}" for number in range(20)]
    for name in names:
        bank.put(name)
    opened = [RecordRow(name, RecordGiven(external_id=name, opened_us=platforms.NOW)) for name in names]
    put_tags(bank.context, "customer", [TagRow(name, "new", platforms.NOW) for name in names])
    put_records(bank.context, "customer", opened, "alert")
    bank.wait(days=1)
    statements: list[str] = []
    event.listen(bank.engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    ended = [TagRow(name, "new", platforms.NOW, UNTIL) for name in names]
    closed = [
        RecordRow(name, RecordGiven(external_id=name, opened_us=platforms.NOW, closed_us=bank.now)) for name in names
    ]
    assert put_tags(bank.context, "customer", ended).changed == len(names)
    assert put_records(bank.context, "customer", closed, "alert").changed == len(names)
    for table in ("tags", "records"):
        assert len([one for one in statements if one.startswith(f"UPDATE {table}")]) == 1
