"""A proposal that a file or time has overtaken is withdrawn by a worker, and one that still holds is not locked."""

from collections.abc import Callable
from unittest.mock import Mock

import pytest
from sqlalchemy import Engine

from fivefold.domain.clock import DAY_US
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.changes import facts
from fivefold.usecases.changes.proposals import ChangeOutcome, read_proposal
from fivefold.usecases.ingest.bulk_facts import RecordRow, ScreeningRow, TagRow, add_screenings, put_records, put_tags
from fivefold.usecases.ingest.facts import RecordGiven
from tests.usecases import banks
from tests.usecases.banks import Bank
from tests.usecases.changes.facts.fact_stories import WHY, case, decided, screen, tag, untag
from tests.usecases.governed import audited

Step = Callable[[Bank], object]


def tag_until(days: int) -> Step:
    return lambda bank: tag(bank, until_us=bank.now + days * DAY_US)


def tag_rows(from_days: int, until_days: int | None) -> Step:
    """A file with the tag, from some days ago until some days ahead."""

    def put(bank: Bank) -> None:
        until_us = None if until_days is None else bank.now + until_days * DAY_US
        put_tags(bank.context, "customer", [TagRow("a", "watch", bank.now - from_days * DAY_US, until_us)])

    return put


def match_in_file(bank: Bank) -> None:
    add_screenings(bank.context, "customer", [ScreeningRow("a", "sanctions", True, bank.now)])


def case_in_file(bank: Bank) -> None:
    given = RecordGiven(external_id="7", opened_us=bank.now - 9 * DAY_US, closed_us=bank.now, outcome="confirmed")
    put_records(bank.context, "customer", [RecordRow("a", given)], "case")


def nothing(bank: Bank) -> None:
    pass


STORIES = {
    "a match in a file": (lambda bank: screen(bank, True), lambda bank: screen(bank, False), match_in_file, "newest"),
    "a case in a file": (
        lambda bank: case(bank, "confirmed"),
        lambda bank: case(bank, "no harm"),
        case_in_file,
        "open",
    ),
    "an end moved to never": (tag_until(9), untag, tag_rows(1, None), "the end of the tag"),
    "an end moved on": (tag_until(9), untag, tag_rows(1, 20), "the end of the tag"),
    "an earlier row": (tag_until(9), untag, tag_rows(5, None), "the beginning of the tag"),
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_what_a_file_overtakes_is_withdrawn(
    bank: Bank, story: tuple[Step, Callable[[Bank], ChangeOutcome], Step, str]
) -> None:
    raised, ask, overtake, why = story
    raised(bank)
    bank.settle()
    bank.wait(days=1)
    asked = ask(bank).proposal
    assert asked is not None
    assert facts.close_outdated(bank.engine, bank.now) == 0
    overtake(bank)
    assert facts.close_outdated(bank.engine, bank.now) == 1
    withdrawn = read_proposal(bank.context, asked.id)
    assert (withdrawn.state, withdrawn.decided_by) == ("withdrawn", "system")
    assert withdrawn.decision_reason.startswith("it came too late: ")
    assert why in withdrawn.decision_reason
    assert facts.close_outdated(bank.engine, bank.now) == 0
    assert verify(bank.engine, print).entries == len(audited(bank.engine))


def test_a_tag_that_was_to_be_set_until_a_moment_is_withdrawn_once_that_has_passed(engine: Engine) -> None:
    bank = Bank(engine)
    trusted = {"input": {"tag": "trusted"}, "cases": [{"when": "absent", "floor": "high"}]}
    decided(bank, bank.activate(banks.document({"trusted": trusted})))
    bank.put("a")
    bank.settle()
    of = (bank.context, "customer", "a", "trusted")
    asked = facts.request_tag(*of, until_us=bank.now + DAY_US, reason=WHY).proposal
    assert asked is not None
    assert facts.close_outdated(bank.engine, bank.now + DAY_US - 1) == 0
    bank.wait(days=1)
    assert facts.close_outdated(bank.engine, bank.now) == 1
    assert "does not have the tag 'trusted'" in str(read_proposal(bank.context, asked.id).decision_reason)


def test_a_case_that_was_to_be_new_is_withdrawn_once_a_file_has_its_number(engine: Engine) -> None:
    bank = Bank(engine)
    unseen = {"input": {"count": "cases", "over": "180 days"}, "cases": [{"when": {"at_most": 0}, "floor": "high"}]}
    decided(bank, bank.activate(banks.document({"unseen": unseen})))
    bank.put("a")
    bank.settle()
    given = RecordGiven(external_id="7", opened_us=bank.now)
    asked = facts.request_record(bank.context, "customer", "a", "case", given, reason=WHY, only_new=True).proposal
    assert asked is not None
    old = RecordGiven(external_id="7", opened_us=bank.now - 400 * DAY_US)
    put_records(bank.context, "customer", [RecordRow("a", old)], "case")
    assert facts.close_outdated(bank.engine, bank.now) == 1
    assert "case '7' exists already" in str(read_proposal(bank.context, asked.id).decision_reason)


def test_what_still_holds_is_only_read(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its row is not locked, and nothing is done and rolled back, however long a person takes."""
    tag(bank)
    bank.settle()
    assert untag(bank).proposal is not None
    withdraw = Mock()
    monkeypatch.setattr(facts, "_withdraw_late", withdraw)
    assert facts.close_outdated(bank.engine, bank.now) == 0
    withdraw.assert_not_called()
