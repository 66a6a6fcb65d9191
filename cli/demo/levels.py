"""The risk half of the demo: a stored portfolio, a ruleset that two people activate, a level, an event, a decision.

Each step uses what is stored: a demo that was stopped continues with the step at which it stopped.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fivefold.cli.platform import ingest, levels, worker
from fivefold.cli.terminal import acting_in, echo, open_current_database
from fivefold.domain.clock import from_microseconds
from fivefold.domain.errors import ConfigError
from fivefold.domain.paging import Part
from fivefold.domain.settings import read_settings
from fivefold.usecases.portfolio_files.bundled import bundled_text

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from fivefold.training.simulation.sample_portfolio import SamplePortfolio
    from fivefold.usecases.decisions.decide import DecisionMade
    from fivefold.usecases.shared.context import Context

ORGANISATION = "demo"
CUSTOMERS = 300
OTHERS = "Its customers are not those of the file above, even where an identifier is the same."
RULESET = "fatf-retail"
AUTHOR, APPROVER = "max", "eve"
CONSOLE_MEMBERS = {"ida": "investigator", "ann": "approver"}
"""Who signs in to the console: one person requests an override, and the other approves it."""
POLICY = """\
policy: payments
entity_type: customer
transaction_fields: {operation: text}
levels: [low, medium, high, critical]
actions: [allow, review]
wins: most severe
rationale: What a customer may do depends on how risky the customer is.
rules:
  - id: large-at-high-risk
    title: Large payments of high-risk customers
    rationale: Above 1,000 an analyst looks first.
    when: {all: [{level: in_force, at_least: high}, {transaction: amount, above: 1000}]}
    action: review
  - id: unknown-level
    title: Customers without a level
    rationale: An analyst looks first.
    when: {level: in_force, is: absent}
    action: review
otherwise: allow
"""
POLICY_NAME = "payments"
"""As the text of the policy has it."""
PAYMENT = {"transaction_amount": -1500.0, "transaction_currency": "EUR", "operation": "transfer"}
"""What is decided on, before and after the event."""


@dataclass(frozen=True)
class _People:
    """Who acts in the demo: the account at the machine, the ruleset's author, and who approves."""

    operator: "Context"
    author: "Context"
    approver: "Context"


def show_levels() -> None:
    """Set the portfolio up, raise one customer's level and decide on a payment; later runs show the stored state."""
    engine = open_current_database()
    try:
        if _is_complete(engine):
            var = read_settings().var
            echo(f"The risk side, as an earlier demo left it. To start over, remove the folder {var}. {OTHERS}")
            levels.show_distribution(engine, ORGANISATION)
            return
        sample = _store_sample(engine)
        people = _people(engine)
        _activate(engine, people)
        _let_policy_decide(people)
        _work()
        levels.show_distribution(engine, ORGANISATION)
        _raise_one(people, sample.ordinary)
        echo("\nOther customers worth a look; `fivefold level CUSTOMER --organisation demo` shows them:")
        for story, customer in sample.stories.items():
            echo(f"  {customer}  {story}")
    finally:
        engine.dispose()


def _is_complete(engine: "Engine") -> bool:
    """Tell whether an earlier demo reached its last step, which decides that an analyst looks at the payment."""
    from fivefold.usecases.decisions.read import DecisionFilters, search_decisions

    try:
        operator = acting_in(ORGANISATION, engine)
    except ConfigError:
        return False
    return bool(search_decisions(operator, DecisionFilters(policy=POLICY_NAME, action="review"), Part(1)))


def console_tokens() -> dict[str, str]:
    """Give a token for each of `CONSOLE_MEMBERS`, who join where they are missing; none before a demo is complete."""
    from fivefold.store.accounts.plans import read_plans
    from fivefold.usecases.accounts.organisations import add_member, list_members
    from fivefold.usecases.accounts.tokens import create_token

    engine = open_current_database()
    try:
        if not _is_complete(engine):
            return {}
        operator = acting_in(ORGANISATION, engine)
        present = {member.name for member in list_members(operator) if member.left_us is None}
        plans = read_plans(read_settings().plans_file)
        tokens = {}
        for name, role in CONSOLE_MEMBERS.items():
            if name not in present:
                add_member(operator, name, [role])
            _, tokens[name] = create_token(
                engine, plans, plan="trial", label="demo", expires_days=1,
                organisation=ORGANISATION, member=name, role=role, actor=operator.actor.name,
            )  # fmt: skip
        return tokens
    finally:
        engine.dispose()


def _store_sample(engine: "Engine") -> "SamplePortfolio":
    """Store the portfolio of the day on which the demo was begun; what an earlier one stored is known before."""
    from fivefold.store.tables.accounts import Organisation
    from fivefold.training.simulation.sample_portfolio import write_sample

    echo(f"The risk side. {OTHERS} They are imported into the organisation `demo`, as `fivefold import` does:")
    ingest.setup(RULESET, ORGANISATION)
    operator = acting_in(ORGANISATION, engine)
    with operator.reading() as session:
        begun = from_microseconds(session.get_one(Organisation, operator.organisation_id).created_us)
    sample = write_sample(read_settings().var / "demo" / "sample", CUSTOMERS, end=begun.date())
    for table, path in (
        ("entities", sample.customers),
        ("transactions", sample.transactions),
        ("screenings", sample.screenings),
        ("tags", sample.tags),
        ("cases", sample.cases),
        ("alerts", sample.alerts),
    ):
        echo(f"{path.name}:")
        ingest.import_file(table, path, organisation=ORGANISATION)
    return sample


def _work() -> None:
    """Assess all entities that are due, as `fivefold worker --once` does."""
    worker.worker(once=True, quiet=True)


def _people(engine: "Engine") -> _People:
    from fivefold.usecases.accounts.organisations import add_member, list_members
    from fivefold.usecases.shared.actors import Actor
    from fivefold.usecases.shared.context import Context

    operator = acting_in(ORGANISATION, engine)
    members = {member.name: member.id for member in list_members(operator) if member.left_us is None}
    for name in (AUTHOR, APPROVER):
        if name not in members:
            members[name] = add_member(operator, name, ["publisher"]).id
    author, approver = (
        Context(engine, Actor(operator.organisation_id, f"member:{members[name]}")) for name in (AUTHOR, APPROVER)
    )
    return _People(operator, author, approver)


def _activate(engine: "Engine", people: _People) -> None:
    """Write, commit and backtest the shipped ruleset as one person, and activate it as another."""
    from fivefold.usecases.changes.backtests import BACKTESTS
    from fivefold.usecases.rulesets.activate import activate, what_stands_against
    from fivefold.usecases.rulesets.commit import commit
    from fivefold.usecases.rulesets.drafts import save_draft
    from fivefold.usecases.rulesets.life_cycle import NO_DRAFT
    from fivefold.usecases.rulesets.read import list_families
    from fivefold.usecases.shared.jobs import run_next_job

    family = next((each for each in list_families(people.author) if each.name == RULESET), None)
    active, version, revision = (family.active, family.newest, family.draft_revision) if family else (None, None, None)
    if active is not None:
        return
    if version is None:
        draft = save_draft(people.author, bundled_text(RULESET), NO_DRAFT if revision is None else revision)
        version = commit(people.author, RULESET, draft.revision).number
    if what_stands_against(people.approver, RULESET, version):
        _request_backtest(people.author, version)
        while run_next_job(engine, BACKTESTS):
            pass
    activate(people.approver, RULESET, version, "The first ruleset of the demo.", per_second=10_000)
    echo(f"{AUTHOR} wrote {RULESET} version {version}, a backtest ran on all customers, and {APPROVER} activated it.")


def _request_backtest(author: "Context", version: int) -> None:
    """Request a backtest; cancel one that a killed demo left running, as no worker continues it soon."""
    from fivefold.usecases.changes.backtests import cancel_backtest, request_backtest

    backtest = request_backtest(author, RULESET, version)
    if backtest.state == "running":
        cancel_backtest(author, backtest.id, "The demo that ran it was stopped.")
        request_backtest(author, RULESET, version)


def _let_policy_decide(people: _People) -> None:
    """Propose the policy as one person, and approve it as another."""
    from fivefold.usecases.decisions.policies import active_number, approve_policy, policies_of, propose_policy

    if active_number(people.author, POLICY_NAME) is None:
        proposed = next(iter(policies_of(people.author, POLICY_NAME, Part(1))), None)
        if proposed is None:
            proposed = propose_policy(people.author, POLICY, "The first policy of the demo.")
        approve_policy(people.approver, POLICY_NAME, proposed.number, "Read and agreed.")


def _raise_one(people: _People, customer: str) -> None:
    """Show a customer and a decision before and after a transaction with a listed country.

    The transaction is of the moment of the first decision, so that it is the same one if it is sent again.
    """
    from fivefold.usecases.ingest.transactions import add_transactions

    echo(f"\nOne ordinary customer, and a payment of 1,500 euro that {customer} wants to make:\n")
    levels.level(customer, organisation=ORGANISATION)
    before = _decide(people.operator, customer, "before the event")
    echo("\nThen the customer transfers 150 euro to North Korea, a country under the FATF's call for action:\n")
    row = {
        "transaction_id": f"{customer}_to_a_listed_country",
        "user_id": customer,
        "transaction_amount": -150.0,
        "transaction_currency": "EUR",
        "transaction_date": from_microseconds(before.at_us).isoformat(),
        "transaction_state": "COMPLETED",
        "user_balance": 1_000.0,
        "user_created": "2024-01-01",
        "user_category": "WEB",
        "operation": "transfer",
        "counterparty_country": "KP",
    }
    add_transactions(people.operator, [row])
    _work()
    levels.level(customer, organisation=ORGANISATION)
    _decide(people.operator, customer, "after the event")


def _decide(operator: "Context", customer: str, key: str) -> "DecisionMade":
    """Decide on the payment, once under each key, and show the decision."""
    from fivefold.usecases.decisions.decide import decide
    from fivefold.usecases.levels.read import Freshness

    decision = decide(operator, POLICY_NAME, "customer", customer, PAYMENT, Freshness.STORED, key)
    name, version = decision.policy
    line = "" if decision.answer is None else f": {decision.answer['line']}"
    echo(f"\nThe policy {name} version {version} says {decision.action}{line}")
    return decision
