"""A new name has no control character: one could forge a line of a terminal, and no path of the API reaches it."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine, text

from fivefold.domain.errors import ConfigError, InvalidDataError
from fivefold.usecases.ingest.bulk_facts import RecordRow, ScreeningRow, TagRow, add_screenings, put_records, put_tags
from fivefold.usecases.ingest.facts import RecordGiven, add_screening, put_record, set_tag
from fivefold.usecases.ingest.transactions import add_transactions
from fivefold.usecases.levels.entity_profile import read_entity
from tests.store.audits import forged
from tests.store.filling import filled_once
from tests.usecases import platforms
from tests.usecases.at_once import put_list_version
from tests.usecases.banks import Bank

FORGED = "a\nfivefold: all is well"


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    """A customer, and one whose name was stored before such names were refused."""
    made = Bank(engine)
    made.put("a")
    made.put("old")
    with forged(engine) as connection:
        connection.execute(text("UPDATE entities SET external_id = :name WHERE external_id = 'old'"), {"name": FORGED})
    return made


def _case(bank: Bank, name: str, closed_us: int | None = None) -> RecordGiven:
    return RecordGiven(external_id=name, opened_us=bank.now, closed_us=closed_us)


GIVEN: dict[str, Callable[[Bank, str], object]] = {
    "an entity": lambda bank, name: bank.put(name),
    "a tag": lambda bank, name: set_tag(bank.context, "customer", "a", name),
    "tags": lambda bank, name: put_tags(bank.context, "customer", [TagRow("a", name)]),
    "a screening": lambda bank, name: add_screening(bank.context, "customer", "a", name, has_match=True),
    "screenings": lambda bank, name: add_screenings(
        bank.context, "customer", [ScreeningRow("a", name, True, bank.now)]
    ),
    "a case": lambda bank, name: put_record(bank.context, "customer", "a", "case", _case(bank, name)),
    "alerts": lambda bank, name: put_records(bank.context, "customer", [RecordRow("a", _case(bank, name))], "alert"),
    "a transaction": lambda bank, name: add_transactions(
        bank.context,
        [{**platforms.transaction(1, "a", transaction_date=bank.day), "transaction_id": name}],
        "customer",
    ),
    "a member of a list": lambda bank, name: put_list_version(
        bank.context, "watched", 0, ["IR", name], "Whom we watch", "our own"
    ),
}


@pytest.mark.parametrize("what", GIVEN)
@pytest.mark.parametrize(
    "character",
    [
        "\n",
        "\x1b",
        "\x85",
        "\xad",
        "\u061c",
        "\u2028",
        "\u202e",
        "\u200b",
        "\u2063",
        "\ufeff",
        "\u2800",
        "\u3164",
        "\uffa0",
    ],
)
def test_a_name_with_a_control_character_is_refused_and_the_character_is_named(
    bank: Bank, what: str, character: str
) -> None:
    with pytest.raises((ConfigError, InvalidDataError), match=f"the control character U\\+{ord(character):04X}"):
        GIVEN[what](bank, f"b{character}forged")
    GIVEN[what](bank, "Müller\u200d 漢\ufe0f")  # join letters of some scripts and choose variants, and steer nothing


@pytest.mark.parametrize("what", [name for name in GIVEN if name != "a member of a list"])
@pytest.mark.parametrize(
    ("name", "why"),
    [(" b", "white space around"), ("b\u00a0", "white space around"), (".", "an address"), ("..", "an address")],
)
def test_a_name_that_is_mistaken_for_another_or_that_no_address_holds_is_refused(
    bank: Bank, what: str, name: str, why: str
) -> None:
    with pytest.raises((ConfigError, InvalidDataError), match=why):
        GIVEN[what](bank, name)
    GIVEN[what](bank, "b c..")


def test_what_was_stored_before_is_still_read_and_changed(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bank.put(FORGED, country="NO").changed == 1
    assert bank.pay(1, FORGED).new == 1
    assert read_entity(bank.context, "customer", FORGED).attributes["country"] == "NO"
    with monkeypatch.context() as before:
        before.setattr("fivefold.usecases.ingest.facts.wrong_in_name", lambda _: "")
        put_record(bank.context, "customer", "a", "case", _case(bank, FORGED))
    closed = _case(bank, FORGED, bank.now)
    put_record(bank.context, "customer", "a", "case", closed)
    assert put_records(bank.context, "customer", [RecordRow("a", closed)], "case").same == 1
