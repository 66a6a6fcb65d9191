"""Groups hold a level up: what does is let go by two people, whoever of the group it is of."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConflictError, InvalidDataError
from fivefold.risk.facts.groups import links as engine_links
from fivefold.usecases.ingest import links as ingest_links
from fivefold.usecases.ingest.facts import RecordGiven, end_tag, put_record, set_tag
from fivefold.usecases.levels.groups import links as reading
from fivefold.usecases.levels.groups import reach
from tests.store.filling import filled_once
from tests.usecases import banks
from tests.usecases.banks import Bank
from tests.usecases.changes.facts.fact_stories import decided
from tests.usecases.levels.groups.linking import CASH, FRAUD, LINKS, OWNED, document, linked_bank, put


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    return linked_bank(engine)


def test_one_person_alone_takes_nothing_back_that_holds_up_another_one(bank: Bank) -> None:
    decided(bank, bank.activate(document(fraud=FRAUD)))
    put(bank, ("a", "household", "H1"), ("b", "household", "H1"))
    set_tag(bank.context, "customer", "b", "fraud")
    bank.settle()
    with pytest.raises(ConflictError):
        end_tag(bank.context, "customer", "b", "fraud")
    with pytest.raises(InvalidDataError, match="needs a second person"):
        put(bank, ("b", "household", "H1", None, bank.now))


@pytest.mark.parametrize("whose", ["a", "b"])
@pytest.mark.parametrize("days", [2, 4000])
def test_one_person_alone_does_not_put_off_the_beginning_of_a_link(bank: Bank, whose: str, days: int) -> None:
    """It would be there again when it begins, and not until then."""
    decided(bank, bank.activate(document(fraud=FRAUD)))
    put(bank, ("a", "household", "H1"), ("b", "household", "H1"))
    set_tag(bank.context, "customer", "b", "fraud")
    bank.settle()
    bank.wait(11)
    with pytest.raises(InvalidDataError, match="'a' would fall from high to low"):
        put(bank, (whose, "household", "H1", bank.now + days * DAY_US))
    bank.settle()
    assert bank.level("a") == 3


def test_one_person_alone_does_not_put_off_a_link_several_steps_away(bank: Bank) -> None:
    decided(bank, bank.activate(document(owned=OWNED)))
    put(bank, ("a", "owns", "b"), ("b", "owns", "c"))
    bank.settle()
    bank.wait(11)
    with pytest.raises(InvalidDataError, match="'a' would fall from medium to low"):
        put(bank, ("b", "owns", "c", bank.now + 5 * DAY_US))


def test_a_row_about_later_hides_no_other_row_of_a_call(bank: Bank) -> None:
    """In 3,000 days the payments count no longer, with the links and without them."""
    decided(bank, bank.activate(document(cash=CASH)))
    put(bank, ("a", "household", "H1"), ("b", "household", "H1"))
    bank.pay(1, "b")
    bank.pay(2, "b")
    bank.settle()
    bank.wait(11)
    ends, begins = ("b", "household", "H1", None, bank.now), ("b", "household", "H2", bank.now + 3000 * DAY_US)
    for rows in ([ends], [ends, begins]):
        with pytest.raises(InvalidDataError, match="'a' would fall from medium to low"):
            put(bank, *rows)
    put(bank, begins)
    bank.settle()
    assert bank.level("a") == 2


def test_what_holds_until_a_link_ends_is_not_let_go_before(bank: Bank) -> None:
    """A tag of one's own holds the level while the link is to end in an hour; then the tag is taken off."""
    own = {"input": {"tag": "fraud"}, "cases": [{"when": {"equals": True}, "points": 65}]}
    rules = {"fraud": FRAUD, "own": own}
    decided(bank, bank.activate(banks.document(rules, links={"household": LINKS["household"]})))
    put(bank, ("a", "household", "H1"), ("b", "household", "H1"))
    for name in "ab":
        set_tag(bank.context, "customer", name, "fraud")
    bank.settle()
    bank.wait(11)
    put(bank, ("a", "household", "H1", None, bank.now + 3_600_000_000))
    with pytest.raises(ConflictError, match="'a' would fall from high to low"):
        end_tag(bank.context, "customer", "a", "fraud")


@pytest.mark.parametrize("what", ["link", "link to it", "tag"])
def test_what_holds_until_another_one_is_out_of_the_group_is_not_let_go_before(bank: Bank, what: str) -> None:
    """The other one moves out, or its tag ends, in an hour; until then it holds the level as well as one's own tag."""
    own = {"input": {"tag": "fraud"}, "cases": [{"when": {"equals": True}, "points": 65}]}
    owner = {**FRAUD, "input": {"linked": {"by": "owns", "way": "from", "any": {"tag": "fraud", "is": "present"}}}}
    near, link = (FRAUD, "household") if what == "link" else (owner, "owns")
    decided(bank, bank.activate(banks.document({"near": near, "own": own}, links={link: LINKS[link]})))
    ends = ("b", link, "H1" if what == "link" else "a")
    put(bank, *[("a", link, "H1")] * (what == "link"), ends)
    soon = bank.now + 12 * DAY_US
    set_tag(bank.context, "customer", "a", "fraud")
    set_tag(bank.context, "customer", "b", "fraud", until_us=soon if what == "tag" else None)
    bank.settle()
    bank.wait(11)
    if what != "tag":
        put(bank, (*ends, None, soon))
    set_tag(bank.context, "customer", "a", "other")
    with pytest.raises(ConflictError, match="'a' would fall from high to low"):
        end_tag(bank.context, "customer", "a", "fraud")


def test_where_too_many_are_linked_one_person_alone_takes_nothing_back(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is new is taken all the same, and so is what no group reads."""
    decided(bank, bank.activate(document(fraud=FRAUD)))
    put(bank, ("a", "household", "H1"), ("b", "household", "H1"))
    for name in "bc":
        set_tag(bank.context, "customer", name, "fraud")
    given = RecordGiven(external_id="7", opened_us=bank.now)
    put_record(bank.context, "customer", "b", "case", given)
    bank.settle()
    monkeypatch.setattr(reach, "MOST_MARKED", 0)
    monkeypatch.setattr(reach, "TIMES_AS_MANY", 0)
    bank.wait(11)
    with pytest.raises(ConflictError, match="too many are linked"):
        end_tag(bank.context, "customer", "b", "fraud")
    with pytest.raises(InvalidDataError, match="too many are linked"):
        put(bank, ("b", "household", "H1", None, bank.now))
    end_tag(bank.context, "customer", "c", "fraud")  # nobody is linked to c
    put_record(bank.context, "customer", "b", "case", replace(given, closed_us=bank.now, outcome="no harm"))
    set_tag(bank.context, "customer", "a", "fraud")
    bank.settle()
    assert bank.level("a") == 3


def test_where_too_many_are_linked_one_takes_back_what_only_rules_without_links_read(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tag is of no weight to anyone else: the ruleset that reads it follows no links, and the other reads none."""
    own = {"input": {"tag": "fraud"}, "cases": [{"when": {"equals": True}, "points": 1}]}
    decided(bank, bank.activate(banks.document({"own": own})))
    linked = banks.document({"cash": CASH}, name="linked", links={"household": LINKS["household"]})
    decided(bank, bank.activate(linked, position=2))
    put(bank, ("a", "household", "H1"), ("b", "household", "H1"))
    set_tag(bank.context, "customer", "b", "fraud")
    bank.settle()
    monkeypatch.setattr(reach, "MOST_MARKED", 0)
    monkeypatch.setattr(reach, "TIMES_AS_MANY", 0)
    end_tag(bank.context, "customer", "b", "fraud")
    with pytest.raises(InvalidDataError, match="too many are linked"):
        put(bank, ("b", "household", "H1", None, bank.now))


@pytest.mark.parametrize("ends", ["a", "ae"])
def test_one_person_alone_makes_nobody_known_again_whom_too_many_held_up(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    """Those who are left are looked at to the last one: `d` alone falls, as the tag of the others holds them up."""
    for module in (engine_links, reading, reach, ingest_links):
        monkeypatch.setattr(module, "MOST_LINKED", 2)
    monkeypatch.setattr(reading, "MOST_READ", 6)
    own = {"input": {"tag": "own"}, "cases": [{"when": {"equals": True}, "points": 65}]}
    rules = {"fraud": {**FRAUD, "on_unknown": {"points": 65}}, "own": own}
    decided(bank, bank.activate(banks.document(rules, links={"household": LINKS["household"]})))
    bank.put("e")
    names = sorted({*"abcd", *ends})
    for name in sorted(set(names) - {"d"}):
        set_tag(bank.context, "customer", name, "own")
    put(bank, *((name, "household", "shop") for name in (*ends, *sorted(set(names) - set(ends)))))
    bank.settle()
    assert [bank.level(name) for name in names] == [3] * len(names)
    bank.wait(11)
    with pytest.raises(InvalidDataError, match="'d' would fall from high to low"):
        put(bank, *((name, "household", "shop", None, bank.now) for name in ends))
