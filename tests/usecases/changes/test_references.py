"""References for peers on the platform: built by a worker, proposed, approved by another person, and looked at."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError, ConflictError, NotFoundError
from fivefold.domain.paging import Part, every_row
from fivefold.risk.facts.peers import read_reference
from fivefold.store.accounts.lists import list_rows
from fivefold.store.tables.audit import AuditEntry
from fivefold.store.tables.entities import OrganisationSettings
from fivefold.store.tables.rulesets import Family
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.changes import references
from fivefold.usecases.changes.asks import put_list_version
from fivefold.usecases.changes.backtests import BACKTESTS, read_backtest, request_backtest
from fivefold.usecases.changes.proposals import approve_proposal, list_proposals
from fivefold.usecases.changes.reference_fit import is_reference, read_reference_state, read_reference_version
from fivefold.usecases.changes.references import REFERENCE, list_reference_jobs, request_reference
from fivefold.usecases.rulesets import activate, run_backtest
from fivefold.usecases.rulesets.check import check_text
from fivefold.usecases.rulesets.commit import commit
from fivefold.usecases.rulesets.drafts import save_draft, switch_family_in
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.jobs import run_next_job
from tests.usecases import banks, governed
from tests.usecases.banks import Bank

AMONG = {"field": "country"}
PLACED = {
    "input": {"peer_percentile": {"of": {"field": "income"}, "among": AMONG}},
    "cases": [{"when": {"at_least": 90}, "points": 70}],
    "on_unknown": {"points": 1},
}
OFTEN = {
    **PLACED,
    "input": {"times_peer_median": {"of": {"count": "transactions", "over": "30 days"}, "among": "everyone"}},
}


@pytest.fixture
def bank(engine: Engine) -> Bank:
    """Forty customers of NO with incomes 0 to 39, three of SE, and one whose income nobody knows."""
    made = Bank(engine)
    made.actor = Actor(made.of, "member:1")
    two_people(engine, needed=True)
    made.activate(banks.document({"placed": PLACED}, reference="our-peers"))
    decides(engine, None)  # nobody is assessed by it before it has a reference
    for number in range(40):
        made.put(f"no{number}", income=number, country="NO")
    for number in range(3):
        made.put(f"se{number}", income=number, country="SE")
    made.put("unknown", country="NO")
    return made


def decides(engine: Engine, version_id: int | None) -> None:
    with Session(engine) as session, session.begin():
        session.execute(update(Family).values(active_version_id=version_id))


def two_people(engine: Engine, *, needed: bool) -> None:
    with Session(engine) as session, session.begin():
        session.execute(update(OrganisationSettings).values(two_people_promote=needed))


def other(bank: Bank) -> Context:
    return Context(bank.engine, Actor(bank.of, "member:2")).at(bank.now)


def approve(bank: Bank, number: int) -> None:
    """Let another person approve a change, once its backtests are run."""
    while run_next_job(bank.engine, BACKTESTS, bank.now):
        pass
    approve_proposal(other(bank), number, "Agreed")


def built(bank: Bank, version: int = 1) -> Any:
    """Ask for a reference, and let a worker build it."""
    request_reference(bank.context, "retail", version)
    assert run_next_job(bank.engine, REFERENCE, bank.now)
    return list_reference_jobs(bank.context, "retail")[0]


def test_a_backtest_without_the_reference_says_where_it_is_requested(bank: Bank) -> None:
    number = request_backtest(bank.context, "retail", 1).id
    while run_next_job(bank.engine, BACKTESTS, bank.now):
        pass
    error = read_backtest(bank.context, number).error or ""
    assert "list our-peers: is missing" in error
    assert "on the platform it is requested on the page of the ruleset" in error


def versions(bank: Bank) -> list[int]:
    with Session(bank.engine) as session:
        return [row.since_us for row in list_rows(session, bank.of, "our-peers")]


def test_whose_numbers_cannot_be_read_is_said_of_the_request_and_stands_in_the_version(engine: Engine) -> None:
    bank = Bank(engine)
    bank.actor = Actor(bank.of, "member:1")
    percentile = {"peer_percentile": {"of": {"sum": "amount", "over": "30 days"}, "among": "everyone"}}
    bank.activate(banks.document({"placed": {**PLACED, "input": percentile}}, reference="our-peers"))
    decides(engine, None)
    for number, (name, currency) in enumerate((("a", "EUR"), ("b", "XTS"))):
        bank.put(name)
        bank.pay(number, name, transaction_currency=currency)
    bank.wait(days=1)
    job = built(bank)
    (said,) = job.unreadable
    assert "sum of amount in 30 days among everyone: 1 of 2 could not be read as of" in said
    assert "XTS" in said
    assert [group.unreadable for group in read_reference_version(bank.context, "our-peers").groups] == [1]


def test_what_a_worker_builds_as_of_a_past_moment_is_put_in_force_at_that_moment(engine: Engine) -> None:
    bank = Bank(engine)
    bank.now -= 300 * DAY_US
    bank.activate(banks.document({"placed": PLACED}, reference="our-peers"))
    bank.put("a", country="NO", income=1)
    request_reference(bank.context, "retail", 1)
    bank.run()
    assert run_next_job(engine, REFERENCE, bank.now)
    with Session(engine) as session:
        (row,) = list_rows(session, bank.of, "our-peers")
    in_an_hour_us = bank.now + DAY_US // 24
    assert row.since_us == bank.now <= row.created_us < in_an_hour_us
    assert bank.now <= (bank.next_us("a") or 0) < in_an_hour_us, "everybody is looked at again by its peers"


def test_a_ruleset_decides_on_nobody_before_its_reference_is_there(engine: Engine) -> None:
    """Without customers its examples are its backtest; then each customer who came failed, and no reference helped."""
    ana, ben, _ = (Context(engine, each).at(governed.NOW) for each in governed.founded(engine))
    fields = {"country": "country", "income": "number"}
    example = {
        "name": "many",
        "given": {"income": 5, "peers": {"placed": 95}},
        "expect": {"level": "high", "total": 70},
    }
    rules = {"placed": PLACED}
    words = {"fields": fields, "transaction_fields": {}, "examples": [example], "rationale": "Peers."}
    save_draft(ana, banks.document(rules, reference="our-peers", **words))
    commit(ana, "retail", 1, "A test")
    request_backtest(ana, "retail", 1)
    assert run_next_job(engine, BACKTESTS, governed.NOW)
    with pytest.raises(ConflictError, match="its reference portfolio our-peers has no version yet"):
        activate.activate(ben, "retail", 1, "Begin")


@pytest.mark.postgresql
def test_a_reference_is_built_proposed_and_in_force_once_another_person_approves(bank: Bank) -> None:
    asked, is_new = request_reference(bank.context, "retail", 1)
    assert (asked.state, asked.entities, is_new) == ("queued", None, True)
    assert request_reference(bank.context, "retail", 1) == (asked, False)
    assert run_next_job(bank.engine, REFERENCE, bank.now)
    assert not run_next_job(bank.engine, REFERENCE, bank.now)
    (job,) = list_reference_jobs(bank.context, "retail")
    assert (job.state, job.error, job.list, job.entities) == ("done", None, "our-peers", 44)
    assert (job.groups, job.small_groups, job.unreadable) == (2, 1, ())
    assert job.done == job.total > 0
    assert versions(bank) == [], "nothing is in force before it is approved"
    (proposal,) = list_proposals(bank.context)
    assert (proposal.id, proposal.state, proposal.proposed_by) == (job.proposal, "proposed", bank.actor.name)
    approve(bank, proposal.id)
    assert versions(bank) == [bank.now]
    shown = read_reference_version(bank.context, "our-peers")
    assert (shown.as_of_us, shown.base_currency, shown.content_hash) == (bank.now, "EUR", job.content_hash)
    assert [(line.group, line.peers, line.median, line.is_small) for line in shown.groups] == [
        ("NO", 40, "19.5", False),
        ("SE", 3, "1", True),
    ]
    assert [line.number for line in shown.groups] == ["income", "income"]
    decides(bank.engine, 1)
    bank.put("new", income=38, country="NO")
    bank.settle()
    assert bank.level("new") == 3, "higher than 95 % of peers"
    with Session(bank.engine) as session:
        entries = session.scalars(select(AuditEntry.action).where(AuditEntry.action.startswith("reference"))).all()
    assert entries == ["reference.requested"]


def test_parts_of_the_portfolio_make_the_same_reference(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = built(bank)
    monkeypatch.setattr(run_backtest, "MOST_ENTITIES", 7)
    parted = built(bank)
    assert (parted.entities, parted.content_hash) == (whole.entities, whole.content_hash)
    assert parted.id != whole.id
    jobs = every_row(lambda part: list_reference_jobs(bank.context, "retail", part), 1)
    assert [job.id for job in jobs] == [parted.id, whole.id]


def test_what_cannot_be_built_says_why(bank: Bank) -> None:
    with pytest.raises(NotFoundError):
        request_reference(bank.context, "retail", 2)
    bank.activate(banks.document({"income": banks.INCOME}))
    with pytest.raises(ConfigError, match="places nothing among peers"):
        request_reference(bank.context, "retail", 2)
    bank.activate(
        banks.document({"placed": PLACED}, reference="our-peers", applies_to={"field": "country", "equals": "KP"})
    )
    job = built(bank, 3)
    assert (job.state, job.error) == ("failed", "retail applies to no entity, so there are no peers")
    assert list_reference_jobs(bank.context, "retail", Part(1))[0].proposal is None


def test_medians_of_money_are_in_its_currency_and_not_in_minor_units(bank: Bank) -> None:
    of_money = {**PLACED, "input": {"times_peer_median": {"of": {"sum": "amount", "over": "30 days"}, "among": AMONG}}}
    calculated = {"calculation": "doubled"}
    of_calculation = {**PLACED, "input": {"peer_percentile": {"of": calculated, "among": "everyone"}}}
    doubled = {"multiply": [{"sum": "amount", "over": "30 days"}, 2], "unit": "money"}
    bank.activate(
        banks.document(
            {"money": of_money, "counted": OFTEN, "doubled": of_calculation},
            reference="our-peers",
            calculate={"doubled": doubled},
        )
    )
    decides(bank.engine, None)
    for number in range(40):
        bank.pay(1, f"no{number}", transaction_id=f"t{number}", transaction_amount=1_000.25)
    job = built(bank, 2)
    approve(bank, job.proposal)
    lines = read_reference_version(bank.context, "our-peers").groups
    assert {line.number: line.median for line in lines if line.group in {None, "NO"}} == {
        "sum of amount in 30 days": "1,000.25 EUR",
        "transactions in 30 days": "1",
        "doubled": "2,000.50 EUR",
    }


def test_a_reference_of_those_on_whom_another_ruleset_decides_names_that_ruleset(bank: Bank) -> None:
    bank.activate(banks.document({"income": banks.INCOME}, ruleset="before"), position=0)
    why = "retail has nobody to decide on, and so lacks peers: before is tried before it, and decides on 44"
    assert built(bank).error == why


def test_a_worker_that_is_asked_to_end_gives_the_job_back(bank: Bank) -> None:
    request_reference(bank.context, "retail", 1)
    run_next_job(bank.engine, REFERENCE, bank.now, stopping=lambda: True)
    assert [(job.state, job.attempts) for job in list_reference_jobs(bank.context, "retail")] == [("queued", 0)]
    assert run_next_job(bank.engine, REFERENCE, bank.now)
    assert len(list_proposals(bank.context)) == 1


def test_a_version_that_does_not_fit_what_decides_is_refused_by_what_it_lacks(bank: Bank) -> None:
    approve(bank, built(bank).proposal)
    decides(bank.engine, 1)
    with Session(bank.engine) as session:
        (row,) = list_rows(session, bank.of, "our-peers")
        members = tuple(row.members)
    later = bank.now + DAY_US
    assert read_reference(members) is not None

    def put(lines: Any) -> None:
        put_list_version(bank.context, "our-peers", later, lines, "Peers", "By hand", "why")

    with pytest.raises(ConfigError, match="the ruleset retail, which decides: it is not a reference portfolio"):
        put(["NO", "SE"])
    with pytest.raises(ConfigError, match="its money is in USD, and that of the organisation in EUR"):
        put([members[0].replace("EUR", "USD"), *members[1:]])
    with pytest.raises(ConfigError, match="it has no numbers of income among country"):
        put(members[:1])
    put(members)
    bank.activate(banks.document({"placed": PLACED, "often": OFTEN}, reference="our-peers"))
    with pytest.raises(ConfigError, match="it has no numbers of transactions in 30 days among everyone"):
        put_list_version(bank.context, "our-peers", later + DAY_US, members, "Peers", "By hand", "why")
    put_list_version(bank.context, "another", later, ["NO"], "Others", "By hand", "why")


def test_a_ruleset_says_whether_its_reference_is_missing_old_or_of_too_few(bank: Bank) -> None:
    state = read_reference_state(bank.context, "retail")
    assert state is not None
    assert (state.list, state.version, state.as_of_us, state.groups) == ("our-peers", 1, None, 0)
    assert not is_reference(bank.context, "our-peers")
    approve(bank, built(bank).proposal)
    assert is_reference(bank.context, "our-peers")
    fresh = read_reference_state(bank.context, "retail")
    assert fresh is not None
    assert fresh == replace(state, as_of_us=bank.now, groups=2, small_groups=1)
    made_us = bank.now
    bank.wait(days=365)
    assert read_reference_state(bank.context, "retail") == fresh, "a year to the day is not older than a year"
    assert not read_reference_version(bank.context, "our-peers").is_old
    bank.wait(microseconds=1)
    assert read_reference_state(bank.context, "retail") == replace(fresh, is_old=True)
    assert read_reference_version(bank.context, "our-peers", made_us).is_old
    bank.activate(banks.document({"placed": PLACED, "often": OFTEN}, reference="our-peers"))
    lacking = read_reference_state(bank.context, "retail")
    assert lacking is not None
    assert lacking.misfits == ("it has no numbers of transactions in 30 days among everyone",)
    bank.activate(banks.document({"income": banks.INCOME}))
    assert read_reference_state(bank.context, "retail") is None


def test_a_list_that_is_no_reference_is_not_shown_as_one(bank: Bank) -> None:
    put_list_version(bank.context, "others", bank.now, ["NO"], "Others", "By hand", "why")
    approve(bank, list_proposals(bank.context)[0].id)
    assert not is_reference(bank.context, "others")
    for name in ("others", "none"):
        with pytest.raises(NotFoundError, match="there is no reference portfolio"):
            read_reference_version(bank.context, name)


def test_while_nothing_decides_a_reference_is_added_as_lists_are(engine: Engine, bank: Bank) -> None:
    two_people(engine, needed=False)
    job = built(bank)
    assert (job.state, job.proposal) == ("done", None)
    assert versions(bank) == [bank.now]
    assert references.REFERENCE.name == "reference portfolio"


@pytest.mark.postgresql
def test_each_ruleset_has_its_peers_in_a_list_of_its_own(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = banks.document({"placed": PLACED}, "firms", reference="our-peers")
    approve(bank, built(bank).proposal)
    decides(bank.engine, 1)
    bank.activate(shared, 2, enabled=False)
    shown = read_reference_version(bank.context, "our-peers")
    assert (shown.ruleset, shown.entity_type) == ("retail", "customer")
    why = "its peers are those of the ruleset retail, of type customer"
    state = read_reference_state(bank.context, "firms")
    assert state is not None
    assert state.misfits == (why,)
    has = "has the peers of the ruleset retail, of type customer; it cannot have those of the ruleset firms"
    with pytest.raises(ConfigError, match=has):
        request_reference(bank.context, "firms", 1)
    assert [why in str(each) for each in check_text(bank.context, shared).errors].count(True) == 1
    with bank.context.writing() as session, pytest.raises(ConflictError, match=why):
        switch_family_in(session, bank.context, "firms", True, "why", 1, bank.now)
    bank.activate(banks.document({"placed": PLACED}, "firms", reference="their-peers"), 2)
    assert [why in each for each in activate.what_stands_against(bank.context, "firms", 1)].count(True) == 1
    monkeypatch.setattr(activate, "was_active", lambda *_: True)
    with bank.context.writing() as session, pytest.raises(ConflictError, match=why):
        activate.roll_back_in(session, bank.context, "firms", 1, "why", 1, bank.now)
    bank.wait(1)
    later = built(bank)
    assert (later.state, later.error) == ("done", None), "a later version of the same ruleset is as good"
    assert request_reference(bank.context, "firms", 2)[1]


def test_a_list_that_another_deciding_ruleset_reads_gets_no_reference(bank: Bank) -> None:
    request_reference(bank.context, "retail", 1)
    bank.activate(banks.document({"placed": PLACED}, "firms", reference="our-peers"), 2)
    why = "our-peers is read by the ruleset firms, of type customer; it cannot have those of the ruleset retail"
    assert run_next_job(bank.engine, REFERENCE, bank.now)
    (job,) = list_reference_jobs(bank.context, "retail")
    assert (job.state, job.proposal) == ("failed", None)
    assert why in (job.error or "")
    with pytest.raises(ConfigError, match=why):
        request_reference(bank.context, "retail", 1)


COMMERCIAL: dict[str, Any] = {
    "purpose": "commercial",
    "purposes": {"fields": {"income": "both", "country": "both"}},
    "reference": "good-peers",
}
PATH = "watch, which is tried before it → applies_to → field country"


def for_commerce(bank: Bank) -> None:
    """Add a ruleset for commerce that does not decide, and has no reference yet."""
    define_type(bank.context, "customer", {}, purposes=COMMERCIAL["purposes"])
    bank.activate(banks.document({"placed": PLACED}, "good", **COMMERCIAL), 2, enabled=False)


def watches(bank: Bank) -> None:
    """Let a ruleset for aml decide first, on those of one country."""
    applies = {"applies_to": {"field": "country", "equals": "SE"}}
    bank.activate(banks.document({"income": banks.INCOME}, "watch", **applies), 0)


@pytest.mark.postgresql
def test_no_peers_for_commerce_are_chosen_by_data_for_aml(bank: Bank) -> None:
    for_commerce(bank)
    request_reference(bank.context, "good", 1)
    watches(bank)
    assert run_next_job(bank.engine, REFERENCE, bank.now)
    (job,) = list_reference_jobs(bank.context, "good")
    assert (job.state, job.proposal) == ("failed", None)
    assert PATH in (job.error or "")
    with pytest.raises(ConflictError, match=PATH):
        request_reference(bank.context, "good", 1)
    assert request_reference(bank.context, "retail", 1)[1], "one for aml may have them"


def test_a_proposed_reference_for_commerce_is_refused_once_data_for_aml_would_choose_its_peers(bank: Bank) -> None:
    for_commerce(bank)
    request_reference(bank.context, "good", 1)
    assert run_next_job(bank.engine, REFERENCE, bank.now)
    (job,) = list_reference_jobs(bank.context, "good")
    assert (job.state, job.error) == ("done", None), "its own reference, which is missing, is for what it is for"
    watches(bank)
    with pytest.raises(ConflictError, match=PATH):
        approve(bank, job.proposal)


def test_peers_of_a_ruleset_for_aml_are_not_sent_as_a_list_for_commerce(bank: Bank) -> None:
    job = built(bank)
    approve(bank, job.proposal)
    with Session(bank.engine) as session:
        (row,) = list_rows(session, bank.of, "our-peers")
        members = list(row.members)
    bank.wait(1)
    two_people(bank.engine, needed=False)
    for name in ("our-peers", "copied"):
        version = (name, bank.now, members, "Peers", "By hand", "why")
        with pytest.raises(ConfigError, match=f"{name} is for commerce, and the ruleset retail, .*, is for aml"):
            put_list_version(bank.context, *version, purpose="commercial")
    put_list_version(bank.context, *version)


def test_a_ruleset_for_commerce_is_committed_before_its_reference_is_built_and_decides_after(bank: Bank) -> None:
    for_commerce(bank)
    text = banks.document({"placed": PLACED}, "good", **COMMERCIAL)
    assert not [each for each in check_text(bank.context, text).errors if "good-peers" in str(each)]
    why = "its reference portfolio good-peers has no version yet"
    with pytest.raises(ConflictError, match=why), bank.context.writing() as session:
        switch_family_in(session, bank.context, "good", True, "why", 1, bank.now)
    request_reference(bank.context, "good", 1)
    assert run_next_job(bank.engine, REFERENCE, bank.now)
    approve(bank, list_reference_jobs(bank.context, "good")[0].proposal)
    with bank.context.writing() as session:
        switch_family_in(session, bank.context, "good", True, "why", 1, bank.now)
