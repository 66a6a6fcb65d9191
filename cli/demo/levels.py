"""The risk half of the demo: a stored portfolio, a ruleset that two people activate, a level, an event, a decision."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fivefold.cli.platform import importing, levels, worker
from fivefold.cli.terminal import acting_in, echo, open_current_database
from fivefold.domain.clock import from_microseconds, now_microseconds
from fivefold.domain.errors import ConfigError
from fivefold.domain.settings import read_settings
from fivefold.usecases.portfolio_files.bundled import bundled_text

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from fivefold.training.simulation.sample_portfolio import SamplePortfolio
    from fivefold.usecases.shared.context import Context

ORGANISATION = "demo"
CUSTOMERS = 300
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
PAYMENT = {"transaction_amount": -1500.0, "transaction_currency": "EUR", "operation": "transfer"}
"""What is decided on, before and after the event."""


@dataclass(frozen=True)
class _People:
    """Who acts in the demo: the account at the machine, the ruleset's author, and who approves."""

    operator: "Context"
    author: "Context"
    approver: "Context"


def show_levels() -> None:
    """Set the portfolio up, raise one customer's level and decide on a payment; later runs show what is there."""
    engine = open_current_database()
    try:
        if _is_set_up(engine):
            echo("The risk side, as an earlier demo left it (`make clean` begins anew):")
            levels.show_distribution(engine, ORGANISATION)
            return
        sample = _store_sample()
        people = _people(engine)
        _activate(engine, people)
        _work()
        levels.show_distribution(engine, ORGANISATION)
        _raise_one(people, sample.ordinary)
        echo("\nOther customers worth a look, by `fivefold level CUSTOMER --organisation demo`:")
        for story, customer in sample.stories.items():
            echo(f"  {customer}  {story}")
    finally:
        engine.dispose()


def _is_set_up(engine: "Engine") -> bool:
    """Tell whether an earlier demo activated the ruleset: its portfolio is that of another day, and is kept."""
    from fivefold.usecases.rulesets.read import list_families

    try:
        operator = acting_in(engine, ORGANISATION)
    except ConfigError:
        return False
    return any(family.active is not None for family in list_families(operator))


def console_tokens() -> dict[str, str]:
    """Give a token for each of `CONSOLE_MEMBERS`, who join where they are missing; none where there is no portfolio."""
    from fivefold.store.accounts.plans import read_plans
    from fivefold.usecases.accounts.organisations import add_member, list_members
    from fivefold.usecases.accounts.tokens import create_token

    engine = open_current_database()
    try:
        if not _is_set_up(engine):
            return {}
        operator = acting_in(engine, ORGANISATION)
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


def _store_sample() -> "SamplePortfolio":
    from fivefold.training.simulation.sample_portfolio import write_sample

    echo("The risk side. Invented customers are stored for the organisation `demo`, as `fivefold import` does:")
    sample = write_sample(read_settings().var / "demo" / "sample", CUSTOMERS)
    importing.setup(RULESET, ORGANISATION)
    for table, path in (
        ("entities", sample.customers),
        ("transactions", sample.transactions),
        ("screenings", sample.screenings),
        ("tags", sample.tags),
        ("cases", sample.cases),
        ("alerts", sample.alerts),
    ):
        echo(f"{path.name}:")
        importing.import_file(table, path, organisation=ORGANISATION)
    return sample


def _work() -> None:
    """Assess all entities that are due, as `fivefold worker --once` does."""
    worker.worker(once=True, quiet=True)


def _people(engine: "Engine") -> _People:
    from fivefold.usecases.accounts.organisations import add_member, list_members
    from fivefold.usecases.shared.actors import Actor
    from fivefold.usecases.shared.context import Context

    operator = acting_in(engine, ORGANISATION)
    members = {member.name: member.id for member in list_members(operator) if member.left_us is None}
    for name in (AUTHOR, APPROVER):
        if name not in members:
            members[name] = add_member(operator, name, ["publisher"]).id
    author, approver = (
        Context(engine, Actor(operator.organisation_id, f"member:{members[name]}")) for name in (AUTHOR, APPROVER)
    )
    return _People(operator, author, approver)


def _activate(engine: "Engine", people: _People) -> None:
    """Write, commit and backtest the shipped ruleset as one person, and activate it and a policy as another."""
    from fivefold.usecases.changes.backtests import request_backtest, run_next_backtest
    from fivefold.usecases.decisions.policies import approve_policy, propose_policy
    from fivefold.usecases.rulesets.activate import activate
    from fivefold.usecases.rulesets.commit import commit
    from fivefold.usecases.rulesets.drafts import save_draft

    draft = save_draft(people.author, bundled_text(RULESET))
    version = commit(people.author, RULESET, draft.revision).number
    request_backtest(people.author, RULESET, version)
    while run_next_backtest(engine):
        pass
    activate(people.approver, RULESET, version, "The first ruleset of the demo.", per_second=10_000)
    echo(f"{AUTHOR} wrote {RULESET} version {version}, a backtest ran on all customers, and {APPROVER} activated it.")
    policy = propose_policy(people.author, POLICY, "The first policy of the demo.")
    approve_policy(people.approver, policy.name, policy.number, "Read and agreed.")


def _raise_one(people: _People, customer: str) -> None:
    """Show a customer and a decision before and after a transaction with a listed country."""
    from fivefold.usecases.ingest.transactions import add_transactions

    echo(f"\nOne ordinary customer, and a payment of 1,500 euro that {customer} wants to make:\n")
    levels.level(customer, organisation=ORGANISATION)
    _decide(people.operator, customer)
    echo("\nThen a transfer of 150 euro to North Korea arrives, a country under the FATF's call for action:\n")
    row = {
        "transaction_id": f"{customer}_to_a_listed_country",
        "user_id": customer,
        "transaction_amount": -150.0,
        "transaction_currency": "EUR",
        "transaction_date": from_microseconds(now_microseconds()).isoformat(),
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
    _decide(people.operator, customer)


def _decide(operator: "Context", customer: str) -> None:
    from fivefold.usecases.decisions.decide import decide
    from fivefold.usecases.levels.read import Freshness

    decision = decide(operator, "payments", "customer", customer, PAYMENT, Freshness.STORED)
    name, version = decision.policy
    line = "" if decision.answer is None else f": {decision.answer['line']}"
    echo(f"\nThe policy {name} version {version} says {decision.action}{line}")
