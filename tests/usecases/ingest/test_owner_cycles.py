"""Nothing owns itself, however many others are in between."""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from fivefold.domain.errors import InvalidDataError
from fivefold.usecases.ingest import entities as ingest_entities
from fivefold.usecases.ingest.entities import RowCounts, put_entities
from fivefold.usecases.ingest.files import ImportFile, import_table
from fivefold.usecases.ingest.owners import MOST_NAMED
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow
from tests.store.filling import filled_once
from tests.usecases.banks import Bank


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    """Four customers and an account; nothing owns anything."""
    filled = Bank(engine)
    filled.add_type("account", {}, {})
    for name in "abcd":
        filled.put(name)
    filled.put("x", kind="account")
    return filled


def give(bank: Bank, **owners: str) -> RowCounts:
    """Give customers other owners, which are customers too, in one call."""
    rows = [EntityRow(name, {}, ("customer", owner)) for name, owner in owners.items()]
    return put_entities(bank.context, "customer", rows)


def owners_of(bank: Bank) -> Mapping[str, str]:
    asked = (
        "SELECT e.external_id, o.external_id FROM ownerships JOIN entities e ON e.id = entity_id"
        " JOIN entities o ON o.id = ownerships.owner_id WHERE until_us IS NULL"
    )
    with bank.engine.connect() as connection:
        return {name: owner for name, owner in connection.execute(text(asked))}  # noqa: C416 (rows are no pairs to mypy)


def test_an_owner_is_not_owned_by_what_it_owns(bank: Bank) -> None:
    bank.put("x", ("customer", "a"), "account")
    with pytest.raises(InvalidDataError) as refused:
        bank.put("a", ("account", "x"))
    assert str(refused.value.every[0]) == (
        "row 0: owner would make customer 'a' own itself: customer 'a' belongs to account 'x', "
        "which belongs to customer 'a'; allowed: an owner that does not belong to the entity, "
        "directly or through others"
    )
    assert owners_of(bank) == {"x": "a"}


def test_the_whole_chain_is_named_across_calls(bank: Bank) -> None:
    give(bank, a="b")
    give(bank, b="c")
    give(bank, c="d")
    chain = "'d' belongs to customer 'a', which belongs to customer 'b', .* 'c', which belongs to customer 'd'"
    with pytest.raises(InvalidDataError, match=chain):
        give(bank, d="a")
    assert owners_of(bank) == {"a": "b", "b": "c", "c": "d"}


def test_in_one_call_the_last_row_of_each_circle_is_at_fault(bank: Bank) -> None:
    with pytest.raises(InvalidDataError) as refused:
        give(bank, a="b", c="d", b="a", d="c")
    assert [problem.row for problem in refused.value.every] == [2, 3]
    assert owners_of(bank) == {}


def test_what_holds_after_the_call_counts_not_the_order_of_its_rows(bank: Bank) -> None:
    give(bank, a="b")
    assert give(bank, b="a", a="c").changed == 2
    assert owners_of(bank) == {"a": "c", "b": "a"}


def test_a_long_chain_is_fine_and_a_long_circle_is_named_in_part(bank: Bank) -> None:
    names = [f"n{number}" for number in range(MOST_NAMED + 5)]
    put_entities(bank.context, "customer", [EntityRow(name) for name in names])
    give(bank, **dict(pairwise(names)))
    with pytest.raises(InvalidDataError, match="which belongs through 5 others to customer 'n13', which"):
        give(bank, n14="n0")


def test_a_circle_of_before_is_left_and_can_be_opened(bank: Bank) -> None:
    """Databases may have such circles: nothing refused them."""
    give(bank, a="b")
    with Session(bank.engine) as session, session.begin():
        session.execute(
            text("INSERT INTO ownerships (entity_id, owner_id) VALUES (:b, :a)"), {x: bank.id_of(x) for x in "ab"}
        )
    assert give(bank, a="b").same == 1
    assert give(bank, c="a").changed == 1
    assert give(bank, b="d").changed == 1
    assert owners_of(bank) == {"a": "b", "b": "d", "c": "a"}


def test_an_import_sets_aside_the_row_that_closes_the_circle(bank: Bank, tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    pl.DataFrame({"entity_id": ["a", "c", "b"], "owner_id": ["b", "d", "a"]}).write_csv(path)
    done = import_table(Context(bank.engine, bank.actor), "entities", "customer", ImportFile(path))
    assert (done.changed, done.refused) == (2, 1)
    assert owners_of(bank) == {"a": "b", "c": "d"}
    refused = pl.read_csv(tmp_path / "e.refused.csv")
    assert refused["entity_id"].to_list() == ["b"]
    assert "customer 'b' belongs to customer 'a'" in refused["refused_reason"][0]


def test_of_two_calls_that_race_one_is_refused(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are of two types, and each sees nothing wrong before the other is done."""
    record = ingest_entities._record
    racing: list[Future[RowCounts]] = []

    with ThreadPoolExecutor(1) as pool:

        def meanwhile(*given: object) -> None:
            monkeypatch.setattr(ingest_entities, "_record", record)
            racing.append(pool.submit(bank.put, "a", ("account", "x")))
            with pytest.raises(TimeoutError):
                racing[0].result(0.3)
            record(*given)  # type: ignore[arg-type]  # handed on as they came

        monkeypatch.setattr(ingest_entities, "_record", meanwhile)
        bank.put("x", ("customer", "a"), "account")
        with pytest.raises(InvalidDataError, match="'a' belongs to account 'x'"):
            racing[0].result(20)
    assert owners_of(bank) == {"x": "a"}
