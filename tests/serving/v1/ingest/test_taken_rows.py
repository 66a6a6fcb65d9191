"""Rows of one call over HTTP: one bad row costs no other, and is named; sent again, it is answered alike."""

import json
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fivefold.store.tables.entities import Correction, Transaction
from fivefold.usecases.shared import row_results as sound_rows
from tests.serving.v1.places import Place
from tests.usecases.platforms import transaction

PATH = "/v1/transactions"
BAD = transaction(92, "a", transaction_amount="much")


def stored(place: Place, table: Any = Transaction) -> int:
    with Session(place.engine) as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


@pytest.fixture(autouse=True)
def customer(place: Place) -> None:
    place.good("PUT", "/v1/entities/customer/a", {}, role="app")


def test_what_is_right_is_stored_and_what_is_wrong_is_named(place: Place) -> None:
    before = stored(place)
    rows = [transaction(91, "a"), BAD, transaction(93, "nobody"), transaction(94, "a"), transaction(94, "a")]
    answer = place.ask("POST", PATH, rows, role="app")
    assert answer.status_code == 207
    said = answer.json()
    assert (said["new"], said["repeated"], said["refused"]) == (2, 1, 2)
    assert [(error["row"], error["field"], error["problem"]) for error in said["errors"]] == [
        (1, "transaction_amount", "is 'much'"),
        (2, "user_id", "is 'nobody': there is no such customer"),
    ]
    assert stored(place) == before + 2


def test_all_or_nothing_where_that_is_asked_for(place: Place) -> None:
    before = stored(place)
    answer = place.ask("POST", f"{PATH}?atomic=true", [transaction(91, "a"), BAD], role="app")
    assert (answer.status_code, stored(place)) == (422, before)
    assert place.ask("POST", f"{PATH}?atomic=true", [transaction(91, "a")], role="app").status_code == 200


def test_where_nothing_is_right_nothing_is_stored(place: Place) -> None:
    answer = place.ask("POST", PATH, [BAD, {**BAD, "transaction_id": "t95"}], role="app")
    assert answer.status_code == 422
    assert [error["row"] for error in answer.json()[0]["errors"]] == [0, 1]


def test_a_call_that_is_wrong_in_too_many_rows_is_wrong_itself(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_rows, "MOST_REFUSED", 20)
    before = stored(place)
    rows = [transaction(91, "a")] + [{**BAD, "transaction_id": f"x{number}"} for number in range(21)]
    answer = place.ask("POST", PATH, rows, role="app")
    assert (answer.status_code, len(answer.json()[0]["errors"]), stored(place)) == (422, 21, before)
    answer = place.ask("POST", PATH, rows[:-1], role="app")
    assert (answer.status_code, answer.json()["refused"], len(answer.json()["errors"])) == (207, 20, 20)


def test_the_same_key_gives_the_same_answer(place: Place) -> None:
    headers = {"Idempotency-Key": "part-1"}
    rows = [transaction(91, "a"), BAD]
    first, second = (place.ask("POST", PATH, rows, role="app", headers=headers) for _ in range(2))
    assert (first.status_code, second.status_code) == (207, 207)
    assert first.json() == second.json()
    assert first.json()["new"] == 1


def test_corrections_come_with_transactions_and_one_bad_one_costs_no_other(place: Place) -> None:
    reason = {"correction_reason": "sent twice"}
    rows = [
        {"transaction_id": "r1", "reverses": "t91", **reason},
        {"transaction_id": "r2", "reverses": "t92", **reason},
        {"transaction_id": "r3", "reverses": "t91", **reason},
        {
            "transaction_id": "c1",
            "corrects": "t93",
            "transaction_amount": 5,
            "correction_known_at": "2024-01-01",
            **reason,
        },
        transaction(91, "a"),
        BAD,
        transaction(93, "a"),
    ]
    answer = place.ask("POST", PATH, rows, role="app")
    assert answer.status_code == 207, answer.text
    said = answer.json()
    assert (said["new"], said["corrections"], said["refused"]) == (2, 2, 3)
    assert [(error["row"], error["field"]) for error in said["errors"]] == [
        (1, "reverses"),
        (2, "reverses"),
        (5, "transaction_amount"),
    ]
    assert stored(place, Correction) == 2
    listed = place.good("GET", "/v1/entities/customer/a/transactions", role="investigator")
    of = {line["transaction_id"]: line["corrections"] for line in listed}
    assert [(each["number"], each["kind"], each["reason"]) for each in of["t91"]] == [("r1", "reversal", "sent twice")]
    (corrected,) = of["t93"]
    assert (corrected["known_at"], corrected["changes"]) == ("2024-01-01T00:00:00Z", {"transaction_amount": 5.0})


def test_only_reversals_need_no_column_that_transactions_have(place: Place) -> None:
    place.good("POST", PATH, [transaction(91, "a")], role="app")
    row = {"transaction_id": "r1", "reverses": "t91", "correction_reason": "sent twice"}
    assert place.good("POST", PATH, [row], role="app")["corrections"] == 1
    assert place.good("POST", PATH, [row], role="app")["repeated"] == 1


@pytest.mark.parametrize(
    ("twice", "where"),
    [
        ('"transaction_amount": 1, "transaction_amount"', "body.1.transaction_amount"),
        ('"transaction_\\u0061mount": 1, "transaction_amount"', "body.1.transaction_amount"),
        ('"note": [{"a": {"b": 1, "b": 1}}], "transaction_amount"', "body.1.note.0.a.b"),
    ],
)
def test_a_name_that_an_object_has_twice_is_refused_with_its_place(place: Place, twice: str, where: str) -> None:
    """Of two amounts nothing says which one is meant."""
    before = stored(place)
    rows = json.dumps([transaction(91, "a"), transaction(92, "a")])
    head, _, tail = rows.rpartition('"transaction_amount"')
    answer = place.ask("POST", PATH, f"{head}{twice}{tail}".encode(), role="app")
    assert (answer.status_code, stored(place)) == (422, before)
    assert answer.json()[0]["errors"] == [
        {"where": where, "problem": "is given more than once", "line": None, "fatal": True}
    ]
