"""What the platform should do, in plain Python: slow, without a database, and written from the documents alone.

Two rulesets decide on customers - the first on companies, the second on persons, nobody on trusts - and none on the
accounts that customers own. Times are microseconds; levels are numbers from 1.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from fivefold.domain.clock import DAY_US
from fivefold.store.levels.assessment_queue import PLANNED, Reason
from fivefold.store.sql.clocks import LONGEST_LEASE_US
from tests.usecases.platform_rulesets import (
    ALERT_DAYS,
    CASH_DAYS,
    CASH_FROM,
    COUNTRIES,
    FAMILIES,
    HALF_LIFE_DAYS,
    LEVELS,
    NOTHING,
    POINTS,
    VERSIONS,
    Held,
    Rules,
    Version,
)


@dataclass
class Transaction:
    entity: str
    at: int
    amount: int
    operation: str
    state: str | None


@dataclass
class Fact:
    """An alert or a case."""

    entity: str
    opened: int
    closed: int | None = None
    outcome: str | None = None


@dataclass
class Override:
    id: int
    entity: str
    level: int
    until: int | None
    state: str = "requested"
    decided: int = 0


@dataclass(frozen=True)
class Outcome:
    """What one assessment comes to."""

    as_of: int
    family: str | None
    number: int | None
    status: str
    source: str
    level: int | None
    rules_level: int | None
    entered: int | None
    withheld: bool
    may_move_down: int | None
    hard_floor: int
    override: int | None
    next_us: int | None
    next_reason: Reason
    floor: int = 0
    lost: int | None = None
    kept_by: tuple[str, ...] = ()

    def told(self) -> tuple[Any, ...]:
        """Give what an assessment must have stored where any of it is another than before."""
        level = (self.status, self.level, self.rules_level, self.may_move_down, self.hard_floor)
        return self.family, self.number, *level, self.override, self.kept_by


@dataclass
class Owned:
    """By whom something is owned, from a moment or from the first fact on, until before another."""

    owner: str
    begin: int | None = None
    end: int | None = None

    def holds(self, at: int) -> bool:
        return (self.begin is None or self.begin <= at) and (self.end is None or at < self.end)


@dataclass
class Entity:
    """Somebody, what is known of them, where they stand, and when they are to be assessed."""

    id: int
    name: str
    kind: str
    occupation: str | None = None
    country: str | None = None
    owned: list[Owned] = field(default_factory=list)
    tags: list[tuple[int, int | None]] = field(default_factory=list)
    screenings: list[tuple[int, int, bool]] = field(default_factory=list)
    history: list[Outcome] = field(default_factory=list)
    last: Outcome | None = None
    due: int | None = None
    planned: int | None = None
    reasons: Reason = NOTHING
    revision: int = 0
    claimed: int = 0
    attempts: int = 0
    quarantined: bool = False
    lease: str | None = None
    lease_until: int = 0

    @property
    def overtaken(self) -> bool | None:
        """Whether something happened since somebody is at it; None where nobody is."""
        return None if self.lease is None else self.revision != self.claimed

    def waits(self, now: int) -> bool:
        """Tell whether something happened, or was planned for now, that is still to count."""
        return self.quarantined or (self.due is not None and self.due <= now)

    def refreshing(self, now: int) -> bool:
        """Tell whether it is about to be assessed for more than a look: a look before the planned moment is nothing."""
        if self.reasons == Reason.VIEW and (self.planned is None or self.planned > now):
            return False
        leased = self.lease is not None and self.lease_until > now
        return leased or (self.waits(now) and not self.quarantined)


class Model:
    """The whole platform."""

    def __init__(self) -> None:
        self.entities: dict[str, Entity] = {}
        self.transactions: dict[int, Transaction] = {}
        self.alerts: dict[int, Fact] = {}
        self.cases: dict[int, Fact] = {}
        self.overrides: dict[int, Override] = {}
        self.active: dict[str, int] = {}
        self.events: list[tuple[str, int, str | None, str | None, str]] = []
        self.transitions: dict[str, list[tuple[int, int, int | None, int | None, str]]] = {}
        self.audited = 0
        self.dated_by_clock: set[int] = set()  # numbers of screenings without a moment of their own

    def mark(self, names: Iterable[str | None], reason: Reason, now: int) -> None:
        """Say that somebody is to be assessed from now on."""
        for name in {name for name in names if name is not None}:
            entity = self.entities[name]
            if entity.due is None or entity.due > now:  # why it would be due later does not count
                if entity.due is not None and entity.reasons & PLANNED:  # else it happened before a clock was set back
                    entity.planned = min(entity.due, entity.due if entity.planned is None else entity.planned)
                entity.due, entity.reasons = now, entity.reasons & ~PLANNED
            entity.reasons |= reason
            entity.revision += 1
            entity.attempts = entity.attempts if entity.lease else 0
            entity.quarantined = False

    def owners_of(self, name: str) -> set[str]:
        """Name those who own it, or did."""
        return {one.owner for one in self.entities[name].owned}

    def own(self, name: str, owner: str, now: int) -> set[str]:
        """Let somebody own something from now on, alone; name those for whom it counts otherwise by that.

        What a clock ahead began or ended after now, it began or ended now.
        """
        owned = self.entities[name].owned
        before = [replace(one) for one in owned]
        present = [one for one in owned if one.end is None]
        for one in owned:
            one.begin = None if one.begin is None else min(one.begin, now)
            one.end = None if one.end is None else min(one.end, now)
        if owner not in {one.owner for one in present}:
            for one in present:
                one.end = now
            came_back = owner in {one.owner for one in owned}
            owned.append(Owned(owner, now if came_back else None))
        return {one.owner for one in owned if one not in before}

    def screened(self, name: str, number: int, at: int, found: bool, now: int) -> None:
        """Let a screening follow those that there are; what a clock ahead recorded since is recorded now."""
        self.entities[name].screenings = [
            (min(moment, now) if known in self.dated_by_clock else moment, known, matched)
            for moment, known, matched in self.entities[name].screenings
        ] + [(at, number, found)]
        if at == now:
            self.dated_by_clock.add(number)

    def is_free(self, entity: Entity, now: int) -> bool:
        return entity.lease is None or not now < entity.lease_until <= now + LONGEST_LEASE_US

    def due(self, now: int) -> set[str]:
        """Name those whom a worker may take."""
        return {
            entity.name
            for entity in self.entities.values()
            if not entity.quarantined and entity.due is not None and entity.due <= now and self.is_free(entity, now)
        }

    def give_up(self, now: int, most_left: int) -> None:
        """Quarantine those who are due and were left too often by whoever was at them."""
        for name in self.due(now):
            entity = self.entities[name]
            if entity.lease and entity.attempts + 1 >= most_left:
                entity.lease, entity.attempts, entity.quarantined = None, entity.attempts + 1, True

    def claim(self, names: Iterable[str], lease: str, now: int, until: int) -> dict[str, tuple[int, Reason]]:
        """Lease some; their revisions and why they are assessed."""
        claimed = {}
        for name in names:
            entity = self.entities[name]
            entity.attempts += entity.lease is not None
            entity.lease, entity.lease_until, entity.claimed = lease, until, entity.revision
            waits = entity.due is not None and entity.due <= now
            claimed[name] = (entity.revision, entity.reasons if waits else Reason.VIEW)
        return claimed

    def store(self, outcomes: Mapping[str, tuple[int, Outcome]], lease: str, unchanged: Collection[str]) -> int:
        """Take over what was computed for those whose lease is held still.

        *unchanged* are those of whom no row was written: what is told of them must be what was told before.
        """
        held = sorted(
            (self.entities[name] for name in outcomes if self.entities[name].lease == lease), key=lambda one: one.id
        )
        for entity in held:
            revision, outcome = outcomes[entity.name]
            last, before = entity.last, None if entity.last is None else entity.last.level
            if entity.name in unchanged:
                assert last is not None
                assert outcome.told() == last.told()
                outcome = replace(outcome, source=last.source)
            else:
                entity.history.append(outcome)
            entity.last = outcome
            entity.lease, entity.attempts, entity.quarantined = None, 0, False
            if entity.revision == revision:
                entity.due, entity.reasons, entity.planned = outcome.next_us, outcome.next_reason, None
            else:
                entity.planned = outcome.next_us
            if before != outcome.level:
                moved = (before, outcome.level)
                self.transitions.setdefault(entity.name, []).append(
                    (len(entity.history), outcome.as_of, *moved, outcome.source)
                )
                self.events.append(
                    (entity.name, len(entity.history), LEVELS[moved[0] or 0], LEVELS[moved[1] or 0], outcome.source)
                )
        self.audited += any(entity.name not in unchanged for entity in held)
        return len(held)

    def assess(self, name: str, reasons: Reason, now: int) -> Outcome:
        """Say what an assessment of somebody comes to now."""
        entity = self.entities[name]
        as_of = max(now, entity.last.as_of if entity.last else 0)
        on = [family for family in FAMILIES if family in self.active] if entity.kind == "customer" else []
        override, live = self._override(name), self.live_override(name, as_of)
        family = next((family for family in on if entity.occupation == family), None)
        undetermined, kept_by = entity.occupation is None and bool(on), tuple[str, ...]()
        if undetermined:
            before = self._decided_before(entity)
            family = self._may_decide(entity, on, before, live, as_of)
            kept_by = tuple(one for one in on if one in before and one != family)
        moments: dict[Reason, int | None] = {Reason.EXPIRY: live.until if live else None}
        held = Held()
        if family is not None:
            version = self._version(family)
            rules = self._rules_of(entity, family, as_of)
            cooldown = version.cooldown_days * DAY_US
            move = self._kept if undetermined else self._moved
            held = move(entity.last if entity.last and entity.last.rules_level else None, rules, cooldown, as_of)
            ends = [moment for moment in (held.may_move_down if held.withheld else None, held.floor_ends) if moment]
            moments[Reason.MOVE_DOWN] = min((moment for moment in ends if moment > as_of), default=None)
            moments[Reason.DECAY] = rules.step
            may_decide = on if undetermined else [family]
            turns = [self._rules_of(entity, one, as_of).turn for one in may_decide]
            moments[Reason.TIME] = min((turn for turn in turns if turn is not None), default=None)
        if on:
            moments[Reason.INTERVAL] = as_of + self._version(family or on[-1]).interval_days * DAY_US
        next_us, next_reason = self._first(moments, self._dated(entity, on, as_of), as_of)
        applies = "undetermined" if undetermined else "assessed" if family else "not applicable"
        return Outcome(
            as_of=as_of,
            family=family,
            number=self.active[family] if family else None,
            status=applies if on else "no ruleset",
            source=self._source(entity, live, override, reasons),
            level=max(live.level, held.hard_floor) if live else held.level,
            rules_level=held.level,
            entered=held.entered,
            withheld=held.withheld,
            may_move_down=held.may_move_down,
            hard_floor=held.hard_floor,
            override=live.id if live else None,
            next_us=next_us,
            next_reason=next_reason,
            floor=held.floor,
            lost=held.lost,
            kept_by=kept_by,
        )

    def _decided_before(self, entity: Entity) -> set[str]:
        """Name the rulesets that decided last on somebody, or keep them meanwhile."""
        last = entity.last
        return set() if last is None or last.family is None else {last.family, *last.kept_by}

    def _may_decide(
        self, entity: Entity, on: list[str], decided_before: Collection[str], live: Override | None, as_of: int
    ) -> str:
        """Choose the ruleset of somebody whose occupation is unknown: it keeps whom it decided on, or has a floor.

        While an override is live, what would hold by each counts first.
        """
        last = entity.last

        def rank(family: str) -> tuple[int, int, bool, int]:
            before = family in decided_before
            rules = self._rules_of(entity, family, as_of)
            kept = (last.rules_level or 0) if last and before else 0
            holds = asks = max(kept, rules.floor)
            if live:
                hard_floor = max(last.hard_floor if last else 0, rules.hard_floor)
                own_alone = live.level < hard_floor and not before
                holds = rules.hard_floor if own_alone else max(live.level, hard_floor)
            return holds, asks, before, -on.index(family)

        return max(on, key=rank)

    def _kept(self, last: Outcome | None, rules: Rules, cooldown: int, as_of: int) -> Held:
        """Let nothing go, as it is unknown whether the ruleset applies; a floor raises."""
        before = last.floor if last else 0
        level, entered = (last.rules_level, last.entered) if last else (None, None)
        if rules.floor > (level or 0):
            level, entered = rules.floor, as_of
        lost = last.lost if last and before >= 2 > rules.floor else None
        return Held(
            level,
            entered,
            may_move_down=entered + cooldown if level and entered and level > 1 else None,
            floor=max(before, rules.floor),
            hard_floor=max(last.hard_floor if last else 0, rules.hard_floor),
            lost=lost,
        )

    def _moved(self, last: Outcome | None, rules: Rules, cooldown: int, as_of: int) -> Held:
        """Up at once, down after the cooldown; medium holds so long where it held and nobody looked for a sanction."""
        floor, lost = rules.floor, None
        if last and last.floor >= 2 > floor and rules.found_unknown:
            since = as_of if last.lost is None else last.lost
            if as_of < since + cooldown:
                floor, lost = 2, since
        asked = max(rules.computed, floor)
        level, entered = asked, as_of
        if last and last.rules_level and last.entered is not None:
            waits = asked < last.rules_level and as_of < last.entered + cooldown
            if waits or asked == last.rules_level:
                level, entered = last.rules_level, last.entered
        withheld = rules.computed < level
        may_move_down = entered + cooldown if level > 1 else None
        floor_ends = None if lost is None else lost + cooldown
        if may_move_down and floor_ends and withheld and floor >= level:
            may_move_down = max(may_move_down, floor_ends)
        return Held(level, entered, withheld, may_move_down, floor, rules.hard_floor, lost, floor_ends)

    def _override(self, name: str) -> Override | None:
        approved = [one for one in self.overrides.values() if one.entity == name and one.state == "approved"]
        return max(approved, key=lambda one: (one.decided, one.id), default=None)

    def live_override(self, name: str, at: int) -> Override | None:
        """Find the override of somebody that decides at a moment."""
        override = self._override(name)
        return override if override and (override.until is None or at < override.until) else None

    def level_source(self, entity: Entity) -> str:
        """Say what the level in force rests on: an override that decides, or what made its last change."""
        assert entity.last is not None
        if entity.last.override is not None:
            return "override"
        moves = self.transitions.get(entity.name)
        made_by = moves[-1][4] if moves else entity.last.source
        return "rules" if made_by == "override" else made_by

    def _source(self, entity: Entity, live: Override | None, override: Override | None, reasons: Reason) -> str:
        held = entity.last.override if entity.last else None
        if live:
            return "rules" if held == live.id else "override"
        if held is not None:
            return "expiry" if override is not None and override.id == held else "override"
        return {Reason.DECAY: "decay", Reason.TIME: "time"}.get(reasons, "rules")

    def _first(self, moments: Mapping[Reason, int | None], dated: int | None, as_of: int) -> tuple[int | None, Reason]:
        ahead = {reason: at for reason, at in moments.items() if at is not None and at > as_of}
        reason = min(ahead, key=lambda one: ahead[one], default=None)
        if Reason.INTERVAL not in moments:  # no ruleset: nothing but an override's end is to come
            return (None, Reason(0)) if reason is None else (ahead[reason], reason)
        assert reason is not None
        if dated is not None and (dated < ahead[reason] or (dated == ahead[reason] and reason == Reason.TIME)):
            return dated, Reason.DATED
        return ahead[reason], reason

    def _dated(self, entity: Entity, on: list[str], as_of: int) -> int | None:
        moments: list[int | None] = [moment for span in entity.tags for moment in span] if on else []
        if "companies" in on:
            moments += [one.at for one in self._transactions(entity)]
        if "persons" in on:
            moments += [at for at, _, _ in entity.screenings]
            for facts in (self.alerts, self.cases):
                moments += [moment for one in self._about(entity, facts) for moment in (one.opened, one.closed)]
        return min((moment for moment in moments if moment is not None and moment > as_of), default=None)

    def _counts(self, entity: Entity, of: str, at: int) -> bool:
        owned = self.entities[of].owned
        return of == entity.name or any(one.owner == entity.name and one.holds(at) for one in owned)

    def _transactions(self, entity: Entity) -> list[Transaction]:
        return [one for one in self.transactions.values() if self._counts(entity, one.entity, one.at)]

    def _about(self, entity: Entity, facts: Mapping[int, Fact]) -> list[Fact]:
        return [one for one in facts.values() if self._counts(entity, one.entity, one.opened)]

    def _version(self, family: str) -> Version:
        return VERSIONS[family][self.active[family] - 1]

    def _rules_of(self, entity: Entity, family: str, as_of: int) -> Rules:
        """Add up what the rules give: the level, floors, the next step of decay."""
        watched = any(begin <= as_of and (end is None or as_of < end) for begin, end in entity.tags)
        total, floor, hard_floor, step, turn, found_unknown = Decimal(0), 0, 0, None, None, False
        if watched:
            total, floor, hard_floor = total + POINTS["watch"], 3, 3
        if family == "companies":
            total += COUNTRIES.get(entity.country or "", 0)
            cash = self._cash(entity, as_of)
            total += POINTS["cash"] if sum(amount for _, amount in cash) >= CASH_FROM else 0
            turn = self._cash_goes(cash)
        else:
            points, step, turn = self._fading(entity, as_of)
            total += points
            known = [one for one in entity.screenings if one[0] <= as_of]
            found_unknown = not known
            if known and max(known)[2]:
                total, floor = total + POINTS["found"], max(floor, 2)
            confirmed = [
                one
                for one in self._about(entity, self.cases)
                if one.closed is not None and one.closed <= as_of and one.outcome == "confirmed"
            ]
            total += POINTS["confirmed"] if confirmed else 0
        level = 1 + sum(total >= threshold for threshold in self._version(family).thresholds)
        return Rules(max(level, floor), floor, hard_floor, found_unknown, step, turn)

    def _cash(self, entity: Entity, as_of: int) -> list[tuple[int, int]]:
        return sorted(
            (one.at, abs(one.amount))  # a deposit or a withdrawal: its size counts
            for one in self._transactions(entity)
            if one.operation == "cash"
            and one.state in {None, "SUCCEEDED", "COMPLETED"}
            and as_of - CASH_DAYS * DAY_US < one.at <= as_of
        )

    def _cash_goes(self, cash: list[tuple[int, int]]) -> int | None:
        """Say when so much has left the window that what stays gives no points any more."""
        left = sum(amount for _, amount in cash)
        if left < CASH_FROM:
            return None
        for at, amount in cash:
            left -= amount
            if left < CASH_FROM:
                return at + CASH_DAYS * DAY_US
        return None

    def _fading(self, entity: Entity, as_of: int) -> tuple[Decimal, int | None, int | None]:
        """Halve the points of alerts with each half-life since the latest one; and say when that happens next.

        And when the latest has left the window, so that nothing counts any more.
        """
        times = [
            one.closed if one.closed is not None and one.closed <= as_of else one.opened
            for one in self._about(entity, self.alerts)
        ]
        counted = [at for at in times if as_of - ALERT_DAYS * DAY_US < at <= as_of]
        if not counted:
            return Decimal(0), None, None
        half_life = HALF_LIFE_DAYS * DAY_US
        steps = (as_of - max(counted)) // half_life
        points = Decimal(POINTS["alerts"]) / 2**steps
        rounded = points.quantize(Decimal("0.01"), ROUND_HALF_EVEN)
        step = max(counted) + (steps + 1) * half_life if rounded else None
        return rounded, step, max(counted) + ALERT_DAYS * DAY_US
