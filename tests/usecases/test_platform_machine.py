"""The platform against a plain model of it: whatever happens in whatever order, both come to the same."""

import tempfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from math import ceil, inf
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
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, from_microseconds
from fivefold.domain.errors import ConflictError, InvalidDataError
from fivefold.risk.language.reading import read_ruleset
from fivefold.store.ingest.entities import subject_of
from fivefold.store.levels import leases as claiming
from fivefold.store.levels.assessment_queue import Reason
from fivefold.store.levels.leases import LeasedBatch
from fivefold.store.sql.database import writing
from fivefold.store.tables import entities as entity_tables
from fivefold.store.tables.entities import OrganisationSettings
from fivefold.store.tables.rulesets import Family, RulesetVersion
from fivefold.usecases.ingest.facts import RecordGiven, add_screening, end_tag, put_record, set_tag
from fivefold.usecases.levels import worker
from fivefold.usecases.levels.assess import AssessmentResult, assess_entities
from fivefold.usecases.levels.overrides import approve_override, request_override
from fivefold.usecases.levels.persist import store_result
from fivefold.usecases.levels.read import HOUR_US, Freshness, read_level, read_level_of_profile
from fivefold.usecases.levels.worker import BATCH_SIZE, LEASE_US, MAX_ABANDONED_LEASES, run_batch
from fivefold.usecases.rulesets.activate import activate, advance_backfills
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.depth import examples
from tests.store import databases
from tests.store.audits import bind_unnamed, findings_of
from tests.usecases import platform_rulesets
from tests.usecases.at_once import revoke_override, roll_back
from tests.usecases.banks import Bank
from tests.usecases.governed import store_backtest
from tests.usecases.platform_model import Entity, Fact, Model, Outcome, Override, Transaction
from tests.usecases.platform_rulesets import FAMILIES, LEVELS
from tests.usecases.platform_stored import StoredPlatform, assert_shown

RATE = 100_000
SECOND, HOUR = 1_000_000, DAY_US // 24
CUSTOMERS = tuple(f"c{number}" for number in range(3))
ACCOUNTS = ("x0", "x1")
SOMEBODY = st.sampled_from(CUSTOMERS)
ANYBODY = st.sampled_from(CUSTOMERS + ACCOUNTS)
ENDS = st.sampled_from([None, HOUR, DAY_US, 4 * DAY_US])
FRESHNESS = st.sampled_from(list(Freshness))


DECADES = 10**9
"""Clocks may be off by so many seconds here: what is done where they are off by too much is told elsewhere."""


class Machine(RuleBasedStateMachine):
    """The platform and the model of it, side by side."""

    kind = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.closing = ExitStack()
        folder = Path(self.closing.enter_context(tempfile.TemporaryDirectory()))
        self.engine: Engine = self.closing.enter_context(
            databases.opened(databases.new_url(self.kind, folder), DECADES)
        )
        self.bank = Bank(self.engine)
        self.bank.add_type("account", {}, {"operation": "text"})
        self.other = Actor(self.bank.of, "member:2")
        self.model = Model()
        self.versions: dict[int, tuple[str, int]] = {}
        self.before: set[tuple[str, int]] = set()
        self.backfill: tuple[int, int] | None = None
        self.slow: list[tuple[LeasedBatch, AssessmentResult, dict[str, tuple[int, Outcome]]]] = []
        self.numbers = iter(range(1, 10_000))
        self._write_rulesets()

    @property
    def now(self) -> int:
        return self.bank.now

    def _write_rulesets(self) -> None:
        """Commit two versions of each; somebody else may activate them."""
        with Session(self.engine) as session, session.begin():
            settings_row = session.get_one(OrganisationSettings, self.bank.of)
            settings_row.locked_us, settings_row.override_cap_percent = self.now, 100
            settings_row.programs_lower_levels = True
            for position, name in enumerate(FAMILIES, 1):
                family = Family(organisation_id=self.bank.of, type_id=1, name=name, created_us=self.now)
                family.position, family.enabled = position, True
                session.add(family)
                session.flush()
                for number in (1, 2):
                    self.versions[self._write_version(session, family, number)] = (name, number)
        self.model.audited += bind_unnamed(self.engine)

    def _write_version(self, session: Session, family: Family, number: int) -> int:
        document = platform_rulesets.document(family.name, number)
        ruleset = read_ruleset(document)
        content = {"content_hash": ruleset.content_hash, "canonical": ruleset.canonical}
        of: dict[str, Any] = {"organisation_id": self.bank.of, "family_id": family.id}
        version = RulesetVersion(
            **of,
            **content,
            number=number,
            document=document,
            tests={},
            editors=["member:1"],
            committed_by="member:1",
            committed_us=self.now,
        )
        session.add(version)
        session.flush()
        return version.id

    @initialize(occupations=st.lists(st.sampled_from(FAMILIES), min_size=3, max_size=3), active=st.booleans())
    def begin(self, occupations: list[str], active: bool) -> None:
        for name, occupation in zip(CUSTOMERS, occupations, strict=True):
            self.put(name, occupation, "NO")
        for name in ACCOUNTS:
            self.own(name, "c0")
        if active:
            for family in FAMILIES:
                self.switch(family, 1)

    # What people and programs do.

    @rule(
        name=SOMEBODY,
        occupation=st.sampled_from([*FAMILIES, *FAMILIES, "trusts", None]),
        country=st.sampled_from(["KP", "RU", "NO", None]),
    )
    def put(self, name: str, occupation: str | None, country: str | None) -> None:
        entity = self.model.entities.get(name)
        taken = self.bank.put(name, occupation=occupation, country=country)
        if entity is None:
            entity = self._added(name, "customer")
        elif (entity.occupation, entity.country) != (occupation, country):
            assert taken.changed == 1
            self.model.mark([name], Reason.ATTRIBUTE, self.now)
            self.model.audited += 1
        else:
            assert taken.same == 1
        entity.occupation, entity.country = occupation, country

    def _added(self, name: str, kind: str) -> Entity:
        entity = self.model.entities[name] = Entity(self.bank.id_of(name), name, kind)
        self.model.mark([name], Reason.NEW, self.now)
        self.model.audited += 1
        return entity

    @rule(name=st.sampled_from(ACCOUNTS), owner=SOMEBODY)
    def own(self, name: str, owner: str) -> None:
        entity = self.model.entities.get(name)
        self.bank.put(name, ("customer", owner), "account")
        if entity is None:
            self._added(name, "account")
            self.model.mark(self.model.own(name, owner, self.now), Reason.ATTRIBUTE, self.now)
        elif touched := self.model.own(name, owner, self.now):
            self.model.mark([name, *touched], Reason.ATTRIBUTE, self.now)
            self.model.audited += 1

    def _happened(self, name: str, reason: Reason) -> None:
        self.model.mark([name, *self.model.owners_of(name)], reason, self.now)
        self.model.audited += 1

    def _send(self, number: int, given: Transaction) -> Any:
        return self.bank.pay(
            number,
            given.entity,
            self.model.entities[given.entity].kind,
            operation=given.operation,
            transaction_amount=float(given.amount),
            transaction_state=given.state,
            transaction_date=from_microseconds(given.at).replace(tzinfo=None).isoformat(),
        )

    @rule(
        name=ANYBODY,
        after=st.sampled_from([0, 0, 0, HOUR, DAY_US // 2, -5 * DAY_US, -19 * DAY_US]),
        amount=st.sampled_from([400, 700, 1000, -1000]),
        operation=st.sampled_from(["cash", "cash", "card"]),
        state=st.sampled_from([None, "SUCCEEDED", "PENDING", "PENDING", "FAILED"]),
    )
    def pay(self, name: str, after: int, amount: int, operation: str, state: str | None) -> None:
        number, given = next(self.numbers), Transaction(name, self.now + after, amount, operation, state)
        assert self._send(number, given).new == 1
        self.model.transactions[number] = given
        self._happened(name, Reason.TRANSACTION)

    @precondition(lambda self: self.model.transactions)
    @rule(data=st.data(), state=st.sampled_from([None, "SUCCEEDED", "PENDING", "FAILED"]))
    def pay_again(self, data: st.DataObject, state: str | None) -> None:
        """What was sent is sent again, perhaps with another state: only one that was pending takes another.

        A pending one that is late changes nothing.
        """
        number = data.draw(st.sampled_from(sorted(self.model.transactions)))
        known = self.model.transactions[number]
        given = Transaction(known.entity, known.at, known.amount, known.operation, state)
        if known.at > self.now + DAY_US or ("PENDING" not in {known.state, state} and known.state != state):
            with pytest.raises(InvalidDataError):
                self._send(number, given)
        elif state in {known.state, "PENDING"}:
            assert self._send(number, given).repeated == 1
        else:
            assert self._send(number, given).changed == 1
            known.state = state
            self._happened(known.entity, Reason.TRANSACTION)

    @rule(name=ANYBODY, lasts=ENDS)
    def tag(self, name: str, lasts: int | None) -> None:
        until = None if lasts is None else self.now + lasts
        self._fact(set_tag, name, "watch", until_us=until)
        if (until, True) in self._live_ends(name)[-1:]:
            return  # nothing new, so nothing is stored
        self._end_live(name)
        self.model.entities[name].tags.append((self.now, until))
        self._happened(name, Reason.TAG)

    def _end_live(self, name: str) -> bool:
        """End what is live, and what another clock, which is ahead, has begun since: it never was."""
        entity, any_live = self.model.entities[name], self._live(name)
        entity.tags = [
            (min(begin, self.now), self.now) if end is None or end > self.now else (begin, end)
            for begin, end in entity.tags
        ]
        return any_live

    @precondition(lambda self: any(self._live(name) for name in self.model.entities))
    @rule(data=st.data())
    def untag(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([name for name in self.model.entities if self._live(name)]))
        self._fact(end_tag, name, "watch")
        assert self._end_live(name)
        self._happened(name, Reason.TAG)

    def _live(self, name: str) -> bool:
        return bool(self._live_ends(name))

    def _live_ends(self, name: str) -> list[tuple[int | None, bool]]:
        """The ends of what it has, the latest last, each with whether it has begun: a clock ahead may have set it."""
        tags = self.model.entities[name].tags
        ends = [(end, begin <= self.now) for begin, end in tags if end is None or end > self.now]
        return sorted(ends, key=lambda pair: inf if pair[0] is None else pair[0])

    def _fact(self, happens: Any, name: str, *given: Any, **more: Any) -> None:
        kind = self.model.entities[name].kind
        program = Actor(self.bank.of, "token:1")  # which takes back what holds a level up without a second person
        happens(Context(self.engine, program).at(self.now), kind, name, *given, **more)

    @rule(name=ANYBODY, found=st.booleans(), ago=st.sampled_from([0, 0, DAY_US]))
    def screen(self, name: str, found: bool, ago: int) -> None:
        self._fact(add_screening, name, "sanctions", has_match=found, at_us=self.now - ago)
        if (self.now - ago, found) in {(at, of_it) for at, _, of_it in self.model.entities[name].screenings}:
            return  # nothing new, so nothing is stored
        self.model.screened(name, next(self.numbers), self.now - ago, found, self.now)
        self._happened(name, Reason.SCREENING)

    @rule(name=ANYBODY, kind=st.sampled_from(["alert", "alert", "case"]), ago=st.sampled_from([0, 0, 7 * DAY_US]))
    def open_record(self, name: str, kind: str, ago: int) -> None:
        number = next(self.numbers)
        (self.model.alerts if kind == "alert" else self.model.cases)[number] = Fact(name, self.now - ago)
        self._put_record(kind, number)
        self._happened(name, Reason.RECORD)

    @precondition(lambda self: self.model.alerts or self.model.cases)
    @rule(data=st.data(), outcome=st.sampled_from([None, "confirmed", "dismissed"]))
    def close_record(self, data: st.DataObject, outcome: str | None) -> None:
        """Close one, or change how it was closed; the same again is nothing new."""
        every = [("alert", number) for number in self.model.alerts] + [("case", number) for number in self.model.cases]
        kind, number = data.draw(st.sampled_from(every))
        fact = (self.model.alerts if kind == "alert" else self.model.cases)[number]
        if fact.opened > self.now:
            return
        changed = (fact.closed, fact.outcome) != (self.now, outcome)
        fact.closed, fact.outcome = self.now, outcome
        self._put_record(kind, number)
        if changed:
            self._happened(fact.entity, Reason.RECORD)

    def _put_record(self, kind: str, number: int) -> None:
        fact = (self.model.alerts if kind == "alert" else self.model.cases)[number]
        self._fact(
            put_record,
            fact.entity,
            kind,
            RecordGiven(external_id=str(number), opened_us=fact.opened, closed_us=fact.closed, outcome=fact.outcome),
        )

    @rule(name=SOMEBODY, level=st.sampled_from([1, 2, 3]), lasts=ENDS)
    def request(self, name: str, level: int, lasts: int | None) -> None:
        until = None if lasts is None else self.now + lasts
        given = ("customer", name, LEVELS[level], "We know them.", until)
        if level < self._floor(name):
            with pytest.raises(ConflictError, match="below"):
                request_override(Context(self.engine, self.bank.actor).at(self.now), *given)
            return
        number = request_override(Context(self.engine, self.bank.actor).at(self.now), *given).id
        self.model.audited += number not in self.model.overrides  # the same request waits once
        self.model.overrides[number] = Override(number, name, level, until)

    @rule(name=SOMEBODY, level=st.sampled_from([1, 2, 3]), lasts=ENDS)
    def override(self, name: str, level: int, lasts: int | None) -> None:
        """What is asked for is approved at once."""
        before = len(self.model.overrides)
        self.request(name, level, lasts)
        if len(self.model.overrides) > before:
            self._approve(max(self.model.overrides.values(), key=lambda one: one.id))

    def _floor(self, name: str) -> int:
        last = self.model.entities[name].last
        return 0 if last is None else last.hard_floor

    @precondition(lambda self: self._overrides("requested"))
    @rule(data=st.data())
    def approve(self, data: st.DataObject) -> None:
        self._approve(data.draw(st.sampled_from(self._overrides("requested"))))

    def _approve(self, override: Override) -> None:
        over = override.until is not None and override.until <= self.now
        if over or override.level < self._floor(override.entity):
            with pytest.raises(ConflictError):
                approve_override(Context(self.engine, self.other).at(self.now), override.id)
            return
        approve_override(Context(self.engine, self.other).at(self.now), override.id)
        for older in self._overrides("approved"):
            if older.entity == override.entity and (older.until is None or older.until > self.now):
                older.state = "revoked"
        override.state, override.decided = "approved", self.now
        self.model.mark([override.entity], Reason.OVERRIDE, self.now)
        self.model.audited += 1

    @precondition(lambda self: self._overrides("approved"))
    @rule(data=st.data())
    def revoke(self, data: st.DataObject) -> None:
        override = data.draw(st.sampled_from(self._overrides("approved")))
        if override.until is not None and override.until <= self.now:
            with pytest.raises(ConflictError):
                revoke_override(Context(self.engine, self.other).at(self.now), override.id, "It is over.")
            return
        revoke_override(Context(self.engine, self.other).at(self.now), override.id, "It is over.")
        override.state = "revoked"
        self.model.mark([override.entity], Reason.OVERRIDE, self.now)
        self.model.audited += 1

    def _overrides(self, state: str) -> list[Override]:
        return [one for one in self.model.overrides.values() if one.state == state]

    @rule(family=st.sampled_from(FAMILIES), number=st.sampled_from([1, 2]))
    def switch(self, family: str, number: int) -> None:
        """Activate a version, or roll back to one that was active before; everybody becomes due by and by."""
        back = (family, number) in self.before
        change = roll_back if back else activate
        if self.model.active.get(family) == number:
            with pytest.raises(ConflictError, match="active already"):
                change(Context(self.engine, self.other).at(self.now), family, number, "It is better.", RATE)
            return
        if not back:
            store_backtest(self.engine, self.bank.of, family, number, self.now)
        change(Context(self.engine, self.other).at(self.now), family, number, "It is better.", RATE)
        self.before.add((family, number))
        self.model.active[family] = number
        self.backfill = (0, self.now)
        self.model.audited += 1

    @rule()
    def fill(self) -> None:
        """Make everybody due whom the rate of the last change allows."""
        marked = advance_backfills(self.engine, self.now)
        expected = 0
        while self.backfill is not None:
            reached, since = self.backfill
            elapsed = min(self.now - since, 10 * SECOND)
            allowed = elapsed * RATE // SECOND
            if allowed < 1:
                break
            left = [one for one in self.model.entities.values() if one.kind == "customer" and one.id > reached]
            part = sorted(left, key=lambda one: one.id)[:allowed]
            self.model.mark([one.name for one in part], Reason.ACTIVATION, self.now)
            self.model.audited += 1
            expected += len(part)
            since = self.now - elapsed + ceil(allowed * SECOND / RATE)
            self.backfill = (part[-1].id, since) if len(part) == allowed else None
        assert marked == expected

    # What time does.

    @rule(length=st.sampled_from([SECOND, HOUR, HOUR + 1, DAY_US, 5 * DAY_US, 12 * DAY_US]))
    def wait(self, length: int) -> None:
        self.bank.now += length

    @rule(early=st.sampled_from([0, 0, 1]))
    def wait_until_somebody_is_due(self, early: int) -> None:
        """Until the very next moment at which something is to be done, or just before it."""
        moments = [one.due for one in self.model.entities.values() if one.due is not None and one.due > self.now]
        if moments:
            self.bank.now = max(self.now, min(moments) - early)

    @rule(length=st.sampled_from([SECOND, HOUR]))
    def set_the_clock_back(self, length: int) -> None:
        self.bank.now -= length

    @rule(name=SOMEBODY, length=st.sampled_from([SECOND, HOUR]), looks=st.booleans())
    def happen_again_by_a_clock_set_back(self, name: str, length: int, looks: bool) -> None:
        """What was planned and a tag are due; the clock is set back before a worker comes, and more happens."""
        self.wait_until_somebody_is_due(0)
        self.tag(name, None)
        self.set_the_clock_back(length)
        if looks:
            self.read(name, Freshness.REFRESH)
        else:
            self.own("x0", name)

    # What workers do.

    @rule()
    def settle(self) -> None:
        """Let the worker do all there is to do, one type after the other."""
        while self._work():
            pass

    def _work(self) -> bool:
        self.model.give_up(self.now, MAX_ABANDONED_LEASES)
        due_now = self.model.due(self.now)
        done = run_batch(self.engine, clock=lambda: self.now)
        if done is None:
            assert not due_now
            return False
        assessed = due_now - self._due()
        assert (done.assessed, done.failed) == (len(assessed), 0)
        self._is_one_batch(assessed, due_now, BATCH_SIZE)
        self._assessed(assessed, "worker")
        return True

    def _is_one_batch(self, taken: set[str], due_now: set[str], most: int) -> None:
        """They are all that are due of one type, and as often left by a worker: of those, fewer each time."""
        of_each = {name: (one.kind, one.lease and one.attempts) for name, one in self.model.entities.items()}
        ((kind, left),) = {of_each[name] for name in taken}
        alike = {name for name in due_now if of_each[name] == (kind, left)}
        assert taken <= alike
        assert len(taken) == min(len(alike), most if left is None else max(1, most >> 3 * (left + 1)))

    def _assessed(self, names: set[str], lease: str) -> None:
        claims = self.model.claim(names, lease, self.now, self.now + LEASE_US)
        self.model.store(self._outcomes(claims), lease, self._unchanged(names))

    def _outcomes(self, claims: dict[str, tuple[int, Reason]]) -> dict[str, tuple[int, Outcome]]:
        return {
            name: (revision, self.model.assess(name, reasons, self.now)) for name, (revision, reasons) in claims.items()
        }

    def _unchanged(self, names: Collection[str]) -> set[str]:
        """Name those of whom no other assessment was stored than the model knows of."""
        counts = self._counts()
        return {name for name in names if counts.get(name, 0) == len(self.model.entities[name].history)}

    def _due(self) -> set[str]:
        """Name who is due still, as it is stored."""
        asked = "SELECT external_id FROM due_marks JOIN entities ON id = entity_id WHERE due_us <= :now"
        with self.engine.connect() as connection:
            return set(connection.execute(text(asked), {"now": self.now}).scalars())

    def _counts(self) -> dict[str, int]:
        with self.engine.connect() as connection:
            rows = connection.execute(text("SELECT external_id, number FROM standings JOIN entities ON id = entity_id"))
            return dict(tuple(row) for row in rows)

    def _claim(self, name: str | None) -> Iterator[tuple[LeasedBatch, dict[str, tuple[int, Reason]]]]:
        """Claim one, whether due or not, or everybody who is due; nobody who is claimed already."""
        names = {one.id: one.name for one in self.model.entities.values()}
        while True:
            lease, until = f"lease-{next(self.numbers)}", self.now + LEASE_US
            if name is None:
                self.model.give_up(self.now, MAX_ABANDONED_LEASES)
            due_now = self.model.due(self.now)
            with writing(self.engine) as session:
                if name is None:
                    batch = claiming.claim(session, lease, self.now, until, 1000, MAX_ABANDONED_LEASES)
                else:
                    subject = subject_of(session.get_one(entity_tables.Entity, self.model.entities[name].id))
                    batch = claiming.claim_one(session, subject, lease, self.now, until)
            if batch is None:
                assert not due_now if name is None else not self.model.is_free(self.model.entities[name], self.now)
                return
            taken = {names[claim.entity_id] for claim in batch.claims}
            if name is None:
                self._is_one_batch(taken, due_now, 1000)
            claims = self.model.claim(taken, lease, self.now, until)
            reasons = {name: why for name, (_, why) in claims.items()}
            assert {names[one.entity_id]: one.reasons for one in batch.claims} == reasons
            yield batch, claims
            if name is not None:
                return

    @rule(name=st.none() | ANYBODY)
    def die_after_a_claim(self, name: str | None) -> None:
        list(self._claim(name))

    @rule(name=st.none() | ANYBODY)
    def compute_slowly(self, name: str | None) -> None:
        """Claim and compute, and be too slow to store: whatever happens meanwhile happens first; or die for good."""
        for batch, claims in self._claim(name):
            reasons = {claim.entity_id: claim.reasons for claim in batch.claims}
            with Session(self.engine) as session:
                result = assess_entities(session, batch.organisation_id, batch.type_id, reasons, self.now)
            self.slow.append((batch, result, self._outcomes(claims)))

    @precondition(lambda self: self.slow)
    @rule(data=st.data())
    def store_late(self, data: st.DataObject) -> None:
        """What was computed is stored for those whom nobody took over; once more, it is for nobody."""
        self._store_late(data.draw(st.integers(0, len(self.slow) - 1)))

    @rule(name=SOMEBODY, whom=SOMEBODY, takes_over=st.booleans(), later=st.booleans())
    def something_happens_meanwhile(self, name: str, whom: str, takes_over: bool, later: bool) -> None:
        """While one is assessed something happens to it or to another; perhaps the lease ends, and is taken over."""
        before = len(self.slow)
        self.compute_slowly(name)
        self.tag(whom, None)
        self.bank.now += LEASE_US if later else 0
        if takes_over:
            self.settle()
        for slow in range(before, len(self.slow)):
            self._store_late(slow)

    def _store_late(self, slow: int) -> None:
        batch, result, outcomes = self.slow[slow]
        with writing(self.engine) as session:
            stored = len(store_result(session, batch, result, "system").levels)
        assert stored == self.model.store(outcomes, batch.lease, self._unchanged(outcomes))

    # What others read.

    @rule(name=ANYBODY)
    def view(self, name: str) -> None:
        entity = self.model.entities[name]
        last = entity.last
        at_once = last is None or self.now - last.as_of > HOUR_US or entity.waits(self.now)
        shown = read_level_of_profile(Context(self.engine, self.bank.actor, lambda: self.now), entity.kind, name)
        if at_once:  # even where a worker holds the lease: it is waited for, and then taken over
            self._assessed({name}, "view")
        assert_shown(shown, entity, self.model, self.now)

    @rule(name=ANYBODY, freshness=FRESHNESS)
    def read(self, name: str, freshness: Freshness) -> None:
        entity = self.model.entities[name]
        live = self.model.live_override(name, self.now)
        behind = entity.last is None or entity.last.override != (live.id if live else None)
        at_once = freshness is Freshness.NOW or (freshness is Freshness.REFRESH and behind)
        shown = read_level(Context(self.engine, self.bank.actor, lambda: self.now), entity.kind, name, freshness)
        if at_once:
            self._assessed({name}, "read")
        elif freshness is Freshness.REFRESH:
            self.model.mark([name], Reason.VIEW, self.now)
        assert_shown(shown, entity, self.model, self.now)

    # What must hold after whatever happened.

    @invariant()
    def agree(self) -> None:
        with self.engine.connect() as connection:
            StoredPlatform(connection, self.model, self.versions).agrees()

    def teardown(self) -> None:
        try:
            if self.model.entities:
                self.bank.now += LEASE_US
                self.settle()
                self.agree()
                assert not self.model.due(self.now)
                bind_unnamed(self.engine)
                assert findings_of(self.engine) == []
        finally:
            self.closing.close()


@pytest.mark.parametrize("kind", databases.KINDS)
def test_a_moment_before_a_clock_was_set_back_is_not_planned(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "WAIT_SECONDS", 0.0)
    machine = type("OfKind", (Machine,), {"kind": kind})()
    try:
        machine.begin(["companies"] * 3, active=False)
        machine.tag("c0", None)
        machine.set_the_clock_back(SECOND)
        machine.own("x0", "c1")
        machine.agree()
    finally:
        machine.teardown()


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", databases.KINDS)
def test_the_platform_comes_to_what_the_model_says(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "WAIT_SECONDS", 0.0)
    soaking = settings.get_current_profile_name() == "soak"
    machine = type("OfKind", (Machine,), {"kind": kind})
    steady = examples(12) if kind == "sqlite" else 5
    given = settings(max_examples=150 if soaking else steady, stateful_step_count=80 if soaking else 50)
    run_state_machine_as_test(machine, settings=given)
