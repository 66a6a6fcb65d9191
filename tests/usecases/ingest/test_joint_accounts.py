"""An account may have several owners, each for a time: what happens in it counts whole for each of that time."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import Engine, text

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConflictError, InvalidDataError
from fivefold.domain.paging import WHOLE, Part
from fivefold.store.ingest.ownerships import OwnershipSpan, spans_of
from fivefold.usecases.erasure.erase import erase_entity, set_legal_hold
from fivefold.usecases.ingest.entities import RowCounts, put_owners
from fivefold.usecases.ingest.facts import RecordGiven, put_record
from fivefold.usecases.ingest.files import ImportFile, import_table
from fivefold.usecases.ingest.ownerships import OwnersRow
from fivefold.usecases.levels.entity_profile import list_transactions, read_entity
from fivefold.usecases.levels.replay import replay_assessment
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import OwnerGiven
from tests.store.audits import bind_unnamed, findings_of
from tests.store.filling import filled_once
from tests.usecases import banks
from tests.usecases.banks import Bank

A, B = OwnerGiven("customer", "a"), OwnerGiven("customer", "b")


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    """A joint account of a and b, who are settled at level low; cash counts 40, so one payment makes medium."""
    made = Bank(engine)
    made.activate(banks.document({"cash": banks.CASH, "alerts": banks.ALERTS}))
    made.add_type("account", {}, {"operation": "text"})
    for name in "abc":
        made.put(name)
    made.put("joint", kind="account", owners=[A, B])
    made.settle()
    return made


def owners(bank: Bank, *given: OwnerGiven) -> RowCounts:
    return bank.put("joint", kind="account", owners=given)


def from_a_table(bank: Bank, *given: OwnerGiven) -> RowCounts:
    rows = [OwnersRow(row, "joint", (one,)) for row, one in enumerate(given)]
    return put_owners(bank.context, "account", rows)


def spans(bank: Bank) -> list[tuple[str, int | None, int | None]]:
    """Who owns the joint account or did, since when and until when."""
    names = {bank.id_of(name): name for name in "abc"}
    with bank.engine.connect(), banks.Session(bank.engine) as session:
        number = bank.id_of("joint")
        found = spans_of(session, [number]).get(number, [])
        return [(names[span.owner_id], span.from_us, span.until_us) for span in found]


def levels(bank: Bank) -> tuple[int | None, ...]:
    bank.settle()
    return tuple(bank.level(name) for name in "abc")


def test_a_payment_in_a_joint_account_raises_both(bank: Bank) -> None:
    assert levels(bank) == (1, 1, 1)
    bank.pay(1, "joint", "account")
    assert levels(bank) == (2, 2, 1)
    assert bank.assessments("a")[-1].score == bank.assessments("b")[-1].score == "40", "whole for each"


def test_one_owner_leaves_and_the_others_level_stays(bank: Bank) -> None:
    """Nor is what happened until then taken from who left; what comes later is not theirs."""
    bank.pay(1, "joint", "account")
    assert levels(bank) == (2, 2, 1)
    bank.wait(days=11)
    owners(bank, A)
    assert levels(bank) == (2, 2, 1)
    alert = RecordGiven(external_id="1", opened_us=bank.now)
    put_record(bank.context, "account", "joint", "alert", alert)
    assert levels(bank) == (3, 2, 1)
    for name in "ab":
        for made in bank.assessments(name):
            assert replay_assessment(bank.context, f"{made.entity_id}.{made.number}").same


def test_what_is_known_late_counts_for_who_owned_it_then(bank: Bank) -> None:
    bank.wait(days=2)
    owners(bank, A, OwnerGiven("customer", "b", until_us=bank.now - DAY_US))
    bank.settle()
    bank.pay(1, "joint", "account", transaction_date=banks.from_microseconds(bank.now - DAY_US - 1).isoformat()[:-6])
    assert levels(bank) == (2, 2, 1)
    bank.pay(2, "joint", "account", transaction_date=banks.from_microseconds(bank.now - DAY_US).isoformat()[:-6])
    assert bank.settle() == 3
    assert bank.inputs("b")[-1].number == 2, "the moment of leaving is not b's any more"


def test_an_owner_given_twice_by_a_retry_is_known(bank: Bank) -> None:
    bank.pay(1, "joint", "account")
    for _ in range(2):
        assert owners(bank, A, B).same == 1
        assert owners(bank, A, A, B).same == 1
        assert from_a_table(bank, A, B, B) == RowCounts(0, 0, 3)
        assert bank.put("joint", ("customer", "b"), "account").same == 1, "one of them, as the old column says it"
    assert levels(bank) == (2, 2, 1)
    assert bank.assessments("b")[-1].score == "40", "once"
    later = OwnerGiven("customer", "c", bank.now - 5, bank.now + 5)
    assert [from_a_table(bank, later) for _ in range(2)] == [RowCounts(1, 0, 0), RowCounts(0, 0, 1)]


def test_a_dated_row_corrects_what_was_undated_and_nobody_counts_twice(bank: Bank) -> None:
    begin = bank.now - 10 * DAY_US
    assert from_a_table(bank, OwnerGiven("customer", "b", begin)) == RowCounts(0, 1, 0)
    assert from_a_table(bank, OwnerGiven("customer", "b", begin - 9, begin + 9)) == RowCounts(0, 1, 0)
    assert spans(bank) == [("a", None, None), ("b", begin - 9, begin + 9)]
    assert from_a_table(bank, OwnerGiven("customer", "b", bank.now)) == RowCounts(1, 0, 0), "who came back"
    with pytest.raises(InvalidDataError, match="from overlaps several known times of this owner"):
        from_a_table(bank, OwnerGiven("customer", "b", begin))
    with pytest.raises(InvalidDataError, match="until is before it began"):
        from_a_table(bank, OwnerGiven("customer", "b", bank.now, bank.now - 1))
    with pytest.raises(InvalidDataError, match="is repeated with other moments"):
        from_a_table(bank, A, OwnerGiven("customer", "a", until_us=bank.now))
    with pytest.raises(InvalidDataError, match="from is in the future"):
        from_a_table(bank, OwnerGiven("customer", "c", bank.now + 1))
    assert spans(bank) == [("a", None, None), ("b", begin - 9, begin + 9), ("b", bank.now, None)]


def test_who_comes_back_undated_owns_it_from_now_on(bank: Bank) -> None:
    owners(bank, A)
    bank.wait(1)
    owners(bank, A, B)
    assert spans(bank) == [("a", None, None), ("b", None, bank.now - DAY_US), ("b", bank.now, None)]


def test_an_owner_who_never_was_is_taken_back(bank: Bank) -> None:
    bank.pay(1, "joint", "account")
    wrong = bank.now - DAY_US
    from_a_table(bank, OwnerGiven("customer", "c", wrong))
    assert levels(bank) == (2, 2, 2)
    from_a_table(bank, OwnerGiven("customer", "c", wrong, wrong))
    bank.wait(11)
    bank.mark("c")
    assert levels(bank)[2] == 1


def test_another_owner_alone_is_no_answer_for_a_joint_account(bank: Bank) -> None:
    with pytest.raises(InvalidDataError, match="owner is not one of the owners customer 'a' and customer 'b'"):
        bank.put("joint", ("customer", "c"), "account")
    owners(bank, A)
    bank.put("joint", ("customer", "c"), "account")
    assert spans(bank)[0] == ("a", None, bank.now)
    assert owners(bank).changed == 1
    assert [end for _, _, end in spans(bank)] == [bank.now] * 3, "nobody owns it"


def test_both_forms_at_once_are_refused(bank: Bank) -> None:
    with pytest.raises(InvalidDataError, match="owner is given beside owners"):
        bank.put("joint", ("customer", "a"), "account", [A])


def test_an_owner_who_is_not_known_yet_is_set_aside_and_comes_later(bank: Bank, tmp_path: Path) -> None:
    path = tmp_path / "owners.csv"
    rows = {"entity_id": ["joint", "joint"], "owner_id": ["c", "d"], "owner_type": ["customer"] * 2}
    pl.DataFrame({**rows, "from": ["2026-01-01", None]}).write_csv(path)
    done = import_table(Context(bank.engine, bank.actor, lambda: bank.now), "owners", "account", ImportFile(path))
    assert (done.new, done.refused) == (1, 1)
    assert "customer 'd' does not exist" in str(done.problems[0])
    bank.put("d")
    refused = ImportFile(tmp_path / "owners.refused.csv")
    assert import_table(Context(bank.engine, bank.actor, lambda: bank.now), "owners", "account", refused).new == 1
    bank.pay(1, "joint", "account")
    assert levels(bank) == (2, 2, 2)
    assert bank.level("d") == 2


def test_a_circle_through_a_joint_account_is_refused_and_one_that_is_past_is_not(bank: Bank) -> None:
    bank.put("b", ("customer", "c"))
    with pytest.raises(InvalidDataError) as refused:
        bank.put("c", owners=[A, OwnerGiven("account", "joint")])
    assert (
        "would make customer 'c' own itself: customer 'c' belongs to account 'joint', which belongs to customer 'b',"
        " which belongs to customer 'c'" in str(refused.value.every[0])
    )
    owners(bank, A)
    assert bank.put("c", owners=[OwnerGiven("account", "joint")]).changed == 1
    with pytest.raises(InvalidDataError, match="which belongs to account 'joint'"):
        from_a_table(bank, B)
    assert from_a_table(bank, OwnerGiven("customer", "b", bank.now - 9, bank.now - 5)) == RowCounts(0, 1, 0)


def test_the_change_is_in_the_audit_log_by_numbers_alone(bank: Bank) -> None:
    owners(bank, A)
    number, a, b = (bank.id_of(name) for name in ("joint", "a", "b"))
    with bank.engine.connect() as connection:
        said = connection.scalar(text("SELECT after FROM audit_values ORDER BY number DESC LIMIT 1"))
    assert f"{number} of {a} from None until None; {number} of {b} from None until {bank.now}" in str(said)


def test_one_owner_is_erased_and_the_account_stays_the_others(bank: Bank, tmp_path: Path) -> None:
    """It goes with the last one who owns it or did."""
    bank.pay(1, "joint", "account")
    bank.settle()
    joint, a, b = (bank.id_of(name) for name in ("joint", "a", "b"))
    bank.wait(1827)
    bank.pay(2, "joint", "account")
    with pytest.raises(ConflictError, match="records are kept for"):
        erase(bank, "a", tmp_path)
    owners(bank, B)
    bank.wait(1827)
    set_legal_hold(bank.context, "account", "joint", bank.now + 9, "Order 7.", tmp_path / "e")
    with pytest.raises(ConflictError, match="a legal hold"):
        erase(bank, "b", tmp_path)
    assert erase(bank, "a", tmp_path) == [a]
    assert [line.external_id for line in read_entity(bank.context, "account", "joint").owners] == ["b"]
    bank.settle()
    assert replay_assessment(bank.context, f"{b}.1").same
    bank.wait(1)
    assert erase(bank, "b", tmp_path) == [b, joint]
    bind_unnamed(bank.engine)
    assert findings_of(bank.engine) == []


def erase(bank: Bank, name: str, folder: Path) -> list[int]:
    done = erase_entity(bank.context, "customer", name, folder / "e")
    return list(done.entity_ids)


@pytest.mark.parametrize("statement", ["DELETE FROM ownerships", "UPDATE ownerships SET owner_id = entity_id"])
def test_who_owned_what_is_history(bank: Bank, statement: str) -> None:
    with pytest.raises(Exception, match="ownerships is"), bank.engine.begin() as connection:
        connection.execute(text(statement))


def test_spans_overlap_where_they_share_a_moment() -> None:
    always, before, after, never = (
        OwnershipSpan(1),
        OwnershipSpan(1, None, 5),
        OwnershipSpan(1, 5),
        OwnershipSpan(1, 5, 5),
    )
    assert always.overlaps(before)
    assert always.overlaps(after)
    assert not before.overlaps(after)
    assert after.overlaps(never), "they begin together"
    assert not before.overlaps(never)


def test_an_owners_page_shows_what_its_level_read(bank: Bank) -> None:
    """Its own transactions and those of its accounts, of the time in which they were its own; page by page."""
    bank.pay(1, "a")
    bank.wait(1)
    bank.pay(2, "joint", "account")
    left = bank.now + DAY_US
    bank.wait(1)
    owners(bank, A)
    bank.pay(3, "joint", "account")
    bank.settle()

    def listed(name: str, kind: str = "customer", part: Part = WHOLE, **asked: Any) -> list[tuple[str, str]]:
        found = list_transactions(bank.context, kind, name, part, **asked)
        return [(line.transaction_id, line.external_id) for line in found]

    assert listed("a") == [("t3", "joint"), ("t2", "joint"), ("t1", "a")]
    assert listed("b") == [("t2", "joint")]
    assert listed("joint", "account") == [("t3", "joint"), ("t2", "joint")]
    latest = list_transactions(bank.context, "customer", "a", Part(1)).next
    assert listed("a", part=Part(1, latest)) == [("t2", "joint")]
    assert listed("a", since_us=left - DAY_US, until_us=left) == [("t2", "joint")]
    a, b = (read_entity(bank.context, "customer", name).owns for name in "ab")
    assert [(line.external_id, line.until_us, line.status) for line in (*a, *b)] == [
        ("joint", None, "no ruleset"),
        ("joint", left, "no ruleset"),
    ]
    joint = read_entity(bank.context, "account", "joint").owners
    assert [(line.external_id, line.level) for line in joint] == [("a", "medium"), ("b", "medium")]
