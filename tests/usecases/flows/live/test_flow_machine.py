"""Flows against a plain model of them: whatever happens in whatever order, both come to the same."""

import json
import sqlite3
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection, Engine, event, select, text
from sqlalchemy.exc import OperationalError

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConflictError, FivefoldError, NotFoundError
from fivefold.flows.outside.outcomes import OutsideOutcome, failed_outcome
from fivefold.store.sql.database import writing
from fivefold.store.tables.flows import FlowRow
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.flows.activate import (
    activate_flow,
    end_flow_shadow,
    roll_back_flow,
    shadow_flow,
    switch_flow_off,
)
from fivefold.usecases.flows.commit import commit_flow
from fivefold.usecases.flows.drafts import save_flow_draft
from fivefold.usecases.flows.runs import asking
from fivefold.usecases.flows.runs.actions import event_name
from fivefold.usecases.flows.runs.answering import answer_run, retry_run, take_back_action
from fivefold.usecases.flows.runs.calling import call_flow
from fivefold.usecases.flows.runs.outcomes import replay_record
from fivefold.usecases.flows.runs.reading import entity_actions
from fivefold.usecases.flows.runs.schedules import begin_scheduled, keep_schedules
from fivefold.usecases.ingest.facts import RecordGiven, add_screening, end_tag, put_record, set_tag
from fivefold.usecases.ingest.files import ImportFile, import_table
from fivefold.usecases.ingest.tags import announce_ended_tags
from fivefold.usecases.shared.actors import Role
from fivefold.usecases.shared.context import Context
from tests.depth import SHORT, examples
from tests.store import databases
from tests.store.audits import bind_unnamed, findings_of
from tests.usecases import banks
from tests.usecases.flows.flowing import FlowBank
from tests.usecases.flows.live.flow_model import MOST_ATTEMPTS, REVIEW_US, TAG_US, WITHIN_US, FlowModel, Run
from tests.usecases.flows.live.flow_stored import StoredFlows
from tests.usecases.flows.live.flow_versions import ABROAD, ANSWERS, FOLLOWING, FOLLOWS, LEVELS, RUNS, Version
from tests.usecases.flows.live.valued import give_value
from tests.usecases.flows.runs.test_calls import payment
from tests.usecases.flows.runs.test_killed import DiedError
from tests.usecases.groups.grouped import Circle
from tests.usecases.platforms import actor, transaction

WHY = "Because of the test."
REGISTER = {
    "title": "Register",
    "url": "https://register.example/",
    "sends": ["amount"],
    "gives": {"state": "/state"},
    "answer": {"properties": {"state": {"enum": ["live", "gone"]}}},
}
SOURCES = {"organisations": {"bank": {"hosts": ["register.example"]}}, "sources": {"register": REGISTER}}
FIRST = Version(100, "flag")
LATER_US = 2 * 3_600_000_000
"""Longer than any lease, and than any wait after a fault; shorter than a person is waited for."""
AMOUNTS = st.sampled_from([5, 150, 450, 5000, 5000])


class Machine(RuleBasedStateMachine):
    """The platform and the model of it, side by side."""

    kind = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.closing = ExitStack()
        self.folder = Path(self.closing.enter_context(tempfile.TemporaryDirectory()))
        url = databases.new_url(self.kind, self.folder)
        self.engine: Engine = self.closing.enter_context(databases.opened(url, 10**9))
        self.bank = FlowBank(self.engine, "ab")
        self.circle = Circle(self.bank)
        self.model = FlowModel()
        patched = self.closing.enter_context(pytest.MonkeyPatch.context())
        give_value(self.bank, patched)
        ruleset = json.loads(banks.document({"country": banks.COUNTRY}))
        del ruleset["cooldown"]  # a level falls at once
        self.bank.activate(json.dumps(ruleset))
        self.circle.publish({"field": "country", "equals": ABROAD}, "abroad")
        for name, country in (("a", "NO"), ("b", ABROAD)):
            self.bank.put(name, country=country)
            self.model.come(name, country, 2, LEVELS[country])
        self.model.known["b"].is_in, self.model.known["b"].group_moves = True, 1
        self.circle.settle()
        self.bank.add_flow(FOLLOWING)
        with writing(self.engine) as session:
            keep_schedules(session, session.scalars(select(FlowRow)).one(), self.now)
        self.model.listen_to_the_clock(self.now)
        self.ids = {name: self.bank.id_of(name) for name in "ab"}
        self.stored = StoredFlows(self.bank, self.ids)
        self.numbers = iter(range(1, 10_000))
        self.calls: dict[tuple[str, str], float | None] = {}
        (self.folder / "sources.yaml").write_text(json.dumps(SOURCES), encoding="utf-8")
        patched.setenv("FIVEFOLD_SOURCES_FILE", str(self.folder / "sources.yaml"))
        patched.setattr(asking, "ask_of", lambda *_: self.said())

    def said(self) -> OutsideOutcome:
        """Say what the source says."""
        if self.model.source == "breaks":
            raise RuntimeError("a fault")
        if self.model.source == "fails":
            return failed_outcome("no answer within 5 s", "register", self.now)
        return OutsideOutcome(values={"state": self.model.source}, source="register", at_us=self.now, digest="0" * 64)

    @property
    def now(self) -> int:
        return self.bank.now

    def person(self, number: int) -> Context:
        return Context(self.engine, actor(self.bank.of, f"member:{number}"), lambda: self.now)

    @property
    def names(self) -> list[str]:
        return sorted(self.model.tags)

    def somebody(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(self.names), "customer")

    # Versions.

    @initialize(acts=st.booleans())
    def begin(self, acts: bool) -> None:
        self.commit(FIRST.above, FIRST.otherwise)
        if acts:
            self.let_act(1, "activate")

    @rule(above=st.sampled_from([100, 400]), otherwise=st.sampled_from(["flag", "nothing"]))
    def commit(self, above: int, otherwise: str) -> None:
        version = Version(above, otherwise)
        if self.model.versions and version == self.model.versions[-1]:
            return
        draft = save_flow_draft(self.person(7), version.document)
        made = commit_flow(self.person(7), RUNS, draft.revision, WHY)
        self.model.versions.append(version)
        assert made.number == len(self.model.versions)

    @rule(data=st.data(), how=st.sampled_from(["activate", "roll back", "by its author"]))
    def change_version(self, data: st.DataObject, how: str) -> None:
        self.let_act(data.draw(st.integers(1, len(self.model.versions)), "version"), how)

    def let_act(self, number: int, how: str) -> None:
        model = self.model
        change = roll_back_flow if how == "roll back" else activate_flow
        refused = number == model.active or how == "by its author" or (how == "roll back" and number not in model.acted)
        if refused:
            with pytest.raises(ConflictError):
                change(self.person(7 if how == "by its author" else 8), RUNS, number, WHY)
            return
        change(self.person(8), RUNS, number, WHY)
        model.active = number
        model.acted.add(number)
        model.shadow = None if model.shadow == number else model.shadow

    @rule(data=st.data())
    def shadow(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(1, len(self.model.versions)), "version")
        if number in {self.model.active, self.model.shadow}:
            with pytest.raises(ConflictError):
                shadow_flow(self.person(7), RUNS, number, WHY)
            return
        shadow_flow(self.person(7), RUNS, number, WHY)
        self.model.shadow = number

    @precondition(lambda self: self.model.shadow is not None)
    @rule()
    def end_shadow(self) -> None:
        end_flow_shadow(self.person(7), RUNS, WHY)
        self.model.shadow = None

    @precondition(lambda self: self.model.active is not None)
    @rule()
    def switch_off(self) -> None:
        switch_flow_off(self.person(7), RUNS, WHY)
        self.model.active = None

    # What happens to customers.

    @rule(data=st.data(), amount=AMOUNTS, again=st.booleans())
    def post(self, data: st.DataObject, amount: float, again: bool) -> None:
        name, number = self.somebody(data), next(self.numbers)
        for _ in range(1 + again):
            self.bank.post(number, amount, name, transaction_date=self.bank.day)
        self.model.pay(name, number, amount, self.now)

    @rule(data=st.data(), again=st.booleans())
    def import_a_payment(self, data: st.DataObject, again: bool) -> None:
        """A file brings a payment, and perhaps once more."""
        name, number = self.somebody(data), next(self.numbers)
        row = transaction(number, name, transaction_date=self.bank.day)
        for _ in range(1 + again):
            self.imported("transactions", row)
        self.model.import_payment(name, number, self.now)

    @rule(data=st.data())
    def import_countries(self, data: st.DataObject) -> None:
        """A file says where some customers live, or all; of some of them what is known already."""
        names = data.draw(st.lists(st.sampled_from(self.names), min_size=1, unique=True), "customers")
        countries = {name: data.draw(st.sampled_from([ABROAD, *sorted(LEVELS)]), name) for name in names}
        countries = {name: countries[name] for name in sorted(names, key=self.ids.__getitem__)}
        self.imported("entities", *({"entity_id": name, "country": country} for name, country in countries.items()))
        self.model.import_countries(countries, self.now)

    def imported(self, table: str, *rows: dict[str, Any]) -> None:
        number = next(self.numbers)
        path = self.folder / f"{number}.jsonl"
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
        import_table(self.bank.context, table, "customer", ImportFile(path=path))

    @rule(data=st.data())
    def ask_for_it(self, data: st.DataObject) -> None:
        name, lasts_us = self.somebody(data), data.draw(st.sampled_from([None, LATER_US]), "lasts")
        until = None if lasts_us is None else self.now + lasts_us
        set_tag(self.person(2), "customer", name, "ask", until_us=until)
        self.model.give_tag(name, "ask", until, self.now)

    @rule(data=st.data())
    def ask_no_more(self, data: st.DataObject) -> None:
        name = self.somebody(data)
        if self.model.end_tag(name, "ask", self.now):
            end_tag(self.person(2), "customer", name, "ask")
        else:
            with pytest.raises(NotFoundError):
                end_tag(self.person(2), "customer", name, "ask")

    @rule()
    def time_tells(self) -> None:
        """A worker tells of the tags that the clock ended."""
        while announce_ended_tags(self.engine, self.now):
            pass
        self.model.tell_ends(self.now)

    @rule(most=st.sampled_from([1, 100]))
    def let_schedules_come(self, most: int) -> None:
        """A worker begins what schedules say, perhaps customer by customer."""
        while begin_scheduled(self.engine, self.now, most):
            pass
        self.model.let_schedules_come(self.now)

    @rule(data=st.data(), kind=st.sampled_from(["alert", "case"]), again=st.booleans())
    def record(self, data: st.DataObject, kind: str, again: bool) -> None:
        """An alert or a case comes, closed as of an open one nobody can be erased, and perhaps again as it is."""
        name, number = self.somebody(data), str(next(self.numbers))
        given = RecordGiven(external_id=number, opened_us=self.now, closed_us=self.now)
        for _ in range(1 + again):
            put_record(self.bank.context, "customer", name, kind, given)
        self.model.begin(FOLLOWS, name, f"{kind}:{number}.{self.now}", None, self.now)

    @rule(data=st.data(), found=st.booleans())
    def screen(self, data: st.DataObject, found: bool) -> None:
        name = self.somebody(data)
        add_screening(self.bank.context, "customer", name, "pep", has_match=found)
        self.model.screen(name, self.now, found=found)

    @rule(data=st.data(), country=st.sampled_from([ABROAD, *sorted(LEVELS)]), assessed=st.booleans())
    def change_country(self, data: st.DataObject, country: str, assessed: bool) -> None:
        name = self.somebody(data)
        self.bank.put(name, country=country)
        self.model.change_country(name, country, self.now)
        if assessed:
            self.assess()

    @rule()
    def assess(self) -> None:
        """Levels and members of the group follow from what is known now."""
        self.circle.settle()
        self.model.assess(self.now)

    @rule(data=st.data(), amount=AMOUNTS | st.none(), key=st.sampled_from("kl"))
    def call(self, data: st.DataObject, amount: float | None, key: str) -> None:
        """A program calls; under a key that it used it is given what there is, the flow on or off, or refused."""
        name = self.somebody(data)

        def call() -> Any:
            given = None if amount is None else payment(amount)
            return call_flow(self.bank.context, RUNS, "customer", name, given, key)

        before = [run for run in self.model.runs if run.key[2:4] == (name, f"call:{key}") and run.acting]
        if self.model.active is None and not before:
            with pytest.raises(NotFoundError):
                call()
            return
        if before and self.calls[name, key] != amount:
            with pytest.raises(ConflictError):
                call()
            return
        if not before:
            self.calls[name, key] = amount
            self.model.begin(RUNS, name, f"call:{key}", amount, self.now)
        (run,) = [run for run in self.model.runs if run.key[2:4] == (name, f"call:{key}") and run.acting]
        self._carried_on(run)
        assert (call().state, run.at) == (run.state, run.at)

    def _carried_on(self, run: Run) -> None:
        """Carry a run on as a request does: until it stops for longer, or breaks."""
        while run.is_open and run.due_us is not None and run.due_us <= self.now:
            attempts = run.attempts
            self.model.carry_on(run, self.now)
            if run.attempts > attempts:
                return

    @rule(data=st.data(), answer=st.sampled_from(sorted(ANSWERS)))
    def answer(self, data: st.DataObject, answer: str) -> None:
        waiting = [run for run in self.model.runs if run.state == "waiting"]
        if not waiting:
            return
        run = data.draw(st.sampled_from(waiting), "run")
        number = self.stored.runs()[run.key].id
        if run.due_us is None or run.due_us <= self.now or self.model.active is None:
            with pytest.raises(ConflictError):
                answer_run(self.person(3), Role.INVESTIGATOR, number, answer, WHY)
            return
        answer_run(self.person(3), Role.INVESTIGATOR, number, answer, WHY)
        run.answer, run.due_us = answer, self.now
        self.model.pass_on(run, self.now)
        self._carried_on(run)

    @rule(data=st.data())
    def take_back(self, data: st.DataObject) -> None:
        stored = self.stored.actions()
        if not stored:
            return
        key = data.draw(st.sampled_from(sorted(stored)), "action")
        action = self.model.actions[key]
        if action.taken_back or action.action == "tell":
            with pytest.raises(ConflictError):
                take_back_action(self.person(4), Role.INVESTIGATOR, stored[key].id, WHY)
            return
        take_back_action(self.person(4), Role.INVESTIGATOR, stored[key].id, WHY)
        self.model.take_back(action, self.now)

    @rule(data=st.data())
    def erase(self, data: st.DataObject) -> None:
        """Years later a customer is erased, and another one comes; nobody came for what waited."""
        name = self.somebody(data)
        self.bank.now += 6 * 366 * DAY_US
        erase_entity(self.person(9), "customer", name, self.folder / "register")
        self.model.forget(name)
        new = f"c{next(self.numbers)}"
        self.bank.put(new, country="NO")
        self.ids[new] = self.bank.id_of(new)
        self.model.come(new, "NO", 1)
        self.model.begin(FOLLOWS, new, "field:1", None, self.now)

    @rule(
        microseconds=st.sampled_from([1, 60_000_000, LATER_US, WITHIN_US - 1, WITHIN_US, DAY_US, 31 * DAY_US]),
        tells=st.booleans(),
    )
    def wait(self, microseconds: int, tells: bool) -> None:
        self.bank.now += microseconds
        if tells:
            self.time_tells()
            self.let_schedules_come(100)

    @rule(days=st.integers(1, 3))
    def a_day_later(self, days: int) -> None:
        """A worker does all that time brings."""
        self.bank.now += days * DAY_US
        self.assess()
        self.time_tells()
        self.let_schedules_come(100)

    # Workers, and what goes wrong.

    @rule(source=st.sampled_from(["live", "gone", "fails", "breaks"]))
    def work(self, source: str) -> None:
        self.model.source = source
        self.bank.work()
        self.model.work(self.now)
        self.model.source = "live"

    @rule()
    def work_until_it_is_given_up(self) -> None:
        """What asks the source breaks as often as it is tried: it is given up, and does what the flow declares."""
        self.model.source = "breaks"
        for _ in range(MOST_ATTEMPTS):
            self.bank.work()
            self.model.work(self.now)
            self.bank.now += LATER_US
        self.model.source = "live"

    @rule(data=st.data())
    def try_again(self, data: st.DataObject) -> None:
        """A person lets a run be tried again that was given up; no other run can be."""
        if not self.model.runs:
            return
        given_up = [run for run in self.model.runs if run.state == "quarantined"]
        run = data.draw(st.sampled_from(given_up or self.model.runs), "run")
        number = self.stored.runs()[run.key].id
        if run.state != "quarantined":
            with pytest.raises(ConflictError):
                retry_run(self.person(5), number)
            return
        retry_run(self.person(5), number)
        self.model.try_again(run, self.now)

    @rule(statement=st.integers(0, 60), dies=st.booleans(), source=st.sampled_from(["live", "gone"]))
    def work_until_a_fault(self, statement: int, dies: bool, source: str) -> None:
        """A worker dies, or loses its database, before a statement or a commit; two hours later all is done.

        What was committed before is what the model would have done then; the rest it does when it is done.
        """
        self.model.source = source
        begun = self.now
        ends = (DiedError, FivefoldError, OperationalError, sqlite3.ProgrammingError)
        with self._fault(statement, dies=dies), suppress(*ends):
            self.bank.work()
        self.bank.now += LATER_US
        self.bank.work()
        found = self.stored.runs()

        def moment(run: Run) -> int:
            row = found[run.key]
            at = row.ended_us if row.ended_us is not None else (row.due_us or 0) - WITHIN_US
            return begun if at == begun else self.now

        self.model.work(self.now, moment)
        self.model.source = "live"

    def _fault(self, statement: int, *, dies: bool) -> Any:
        count = [0]

        def step(connection: Connection, *_: Any) -> None:
            count[0] += 1
            if count[0] == statement + 1:
                if dies:
                    raise DiedError
                connection.connection.rollback()  # a database that is gone has undone what was not committed
                raise OperationalError("a statement", {}, Exception("gone"))

        stack = ExitStack()
        for name in ("before_cursor_execute", "commit"):
            event.listen(self.engine, name, step)
            stack.callback(event.remove, self.engine, name, step)
        stack.callback(self.engine.dispose)  # what a dead process had begun is undone
        return stack

    # What must hold after whatever happened.

    @invariant()
    def runs_agree(self) -> None:
        found = {
            key: (row.state, row.stopped_at, row.due_us, row.attempts if row.error else 0)
            for key, row in self.stored.runs().items()
        }
        expected = {run.key: (run.state, run.at, run.due_us, run.attempts) for run in self.model.runs}
        differs = {key: (found.get(key), expected.get(key)) for key in found.keys() | expected.keys()}
        assert not {key: pair for key, pair in differs.items() if pair[0] != pair[1]}, "found, and expected"

    @invariant()
    def actions_agree(self) -> None:
        stored = self.stored.actions()
        found = {key: (row.at_us, row.taken_back_us is not None) for key, row in stored.items()}
        assert found == {key: (each.at_us, each.taken_back) for key, each in self.model.actions.items()}
        for row in stored.values():
            if row.action == "look":
                assert row.content == {"due_us": row.at_us + REVIEW_US}
            if row.action == "note":
                assert row.content == {"tag": "large", "until_us": row.at_us + TAG_US}
        for name in self.names:
            standing = entity_actions(self.bank.context, "customer", name)
            limits = [each.amount_minor for each in standing.limits]
            status, limit = self.model.standing(name)
            assert (standing.status, limits) == (status, [] if limit is None else [limit])

    @invariant()
    def webhooks_agree(self) -> None:
        """Every action that ever was has an event of its own, and so has what was taken back."""
        assert self.bank.count("outbox WHERE kind LIKE 'flow.%'") == self.model.told
        with self.engine.connect() as connection:
            told = set(connection.execute(text("SELECT event_id FROM outbox WHERE body IS NOT NULL")).scalars())
        expected = set()
        for row in self.bank.actions():
            expected.add(event_name(row.id, row.at_us))
            if row.taken_back_us is not None:
                expected.add(f"{event_name(row.id, row.at_us)}-back")
        assert {each for each in told if each.startswith("flow-action-")} == expected

    @invariant()
    def tags_agree(self) -> None:
        with self.engine.connect() as connection:
            rows = connection.execute(text("SELECT entity_id, tag, from_us, until_us FROM tags ORDER BY id")).all()
        found: dict[str, list[tuple[Any, ...]]] = {name: [] for name in self.names}
        for entity, *rest in rows:
            found[next(name for name, number in self.ids.items() if number == entity)].append(tuple(rest))
        expected = {
            name: [(each.name, each.from_us, each.until_us) for each in of] for name, of in self.model.tags.items()
        }
        assert found == expected

    @rule()
    def make_runs_again(self) -> None:
        """What ran live, with others in columns, is made again alone, to the byte."""
        for run in self.bank.runs():
            if run.answer is None:
                with pytest.raises(ConflictError):
                    replay_record(self.bank.context, f"f:{run.id}")
            else:
                assert replay_record(self.bank.context, f"f:{run.id}").same, run.id

    def teardown(self) -> None:
        try:
            if self.model.versions:
                self.bank.now += 31 * DAY_US
                self.work("live")
                self.runs_agree()
                self.actions_agree()
                self.webhooks_agree()
                assert not self.model.due(self.now)
                self.make_runs_again()
                bind_unnamed(self.engine)
                assert findings_of(self.engine) == []
        finally:
            self.closing.close()


@pytest.mark.timeout(7200)
@pytest.mark.postgresql
@pytest.mark.parametrize("kind", databases.KINDS)
def test_flows_do_what_the_model_says(kind: str) -> None:
    soaking = settings.get_current_profile_name() == "soak"
    machine = type("OfKind", (Machine,), {"kind": kind})
    steady = examples(15) if kind == "sqlite" else 2 if SHORT else 5
    given = settings(max_examples=200 if soaking else steady, stateful_step_count=60 if soaking else 25)
    run_state_machine_as_test(machine, settings=given)
