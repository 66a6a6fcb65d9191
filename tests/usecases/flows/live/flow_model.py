"""What flows must have done, in plain Python: runs, actions once for each cause, tags, and what people changed."""

from collections.abc import Callable
from dataclasses import dataclass, field

from fivefold.domain.clock import DAY_US, iso_text
from tests.usecases.flows.flowing import HOUR_US
from tests.usecases.flows.live.flow_versions import (
    ABROAD,
    ANSWERS,
    DECIDES,
    ENDS,
    FAILS,
    FOLLOWS,
    FOR_ALL_HOUR,
    FOR_MEMBERS_HOUR,
    LEVELS,
    RUNS,
    SEVERITY,
    STATUSES,
    Version,
    latest,
)
from tests.usecases.flows.live.valued import segment_of

BACK_OFF_US = (5_000_000, 20_000_000, 80_000_000, 320_000_000, 1_280_000_000, 5_120_000_000)
MOST_ATTEMPTS = 6
TAG_US, REVIEW_US, WITHIN_US = 30 * DAY_US, 2 * DAY_US, 4 * HOUR_US


@dataclass
class Run:
    """A run; it is known by its flow, version, customer, cause, and whether it acts."""

    flow: str
    version: int
    customer: str
    cause: str
    acting: bool
    amount: float | None
    due_us: int | None
    state: str = "queued"
    at: str | None = None
    outcome: str | None = None
    answer: str | None = None
    attempts: int = 0
    number: int = 0

    @property
    def key(self) -> tuple[str, int, str, str, bool]:
        return self.flow, self.version, self.customer, self.cause, self.acting

    @property
    def is_open(self) -> bool:
        return self.state in {"queued", "waiting"}


@dataclass
class Action:
    """An action that was taken; `until_us` of a tag, `due_us` of a review."""

    flow: str
    customer: str
    cause: str
    action: str
    at_us: int
    above: int
    by_person: bool
    run: int
    taken_back: bool = False

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.flow, self.customer, self.cause, self.action


def not_replaced(given: list[Action]) -> list[Action]:
    """Leave out what a later one took the place of; *given* as they acted, one by one."""
    return [
        each
        for place, each in enumerate(given)
        if not any(takes_the_place(later, each) for later in given[place + 1 :])
    ]


def takes_the_place(later: Action, of: Action) -> bool:
    """Tell whether what acted later takes the place of another action of the same flow."""
    if of.action in DECIDES:  # on the relationship: only such a decision does
        return later.action in DECIDES
    return later.by_person or (later.run >= of.run and not of.by_person)


@dataclass(eq=False)
class Tag:
    """A row of a tag, which no other row equals; `planned` as long as the clock has not told its end."""

    name: str
    from_us: int
    until_us: int | None
    planned: bool = False

    def is_live(self, now: int) -> bool:
        return self.until_us is None or self.until_us > now


@dataclass
class Known:
    """What is known of a customer.

    Attributes:
        version: of the fields.
        level: as it was assessed last.
        moved: how often the level became another one.
        group_moves: how often it entered the group, or left it.
        screenings: what each found, and when.
        payments: how many there were; the value follows from that.
        segment: of the value that was predicted last; None for none.
    """

    country: str
    version: int
    level: str | None = None
    moved: int = 0
    is_in: bool = False
    group_moves: int = 0
    screenings: list[tuple[bool, int]] = field(default_factory=list)
    payments: int = 0
    segment: str | None = None


@dataclass
class FlowModel:
    """All that is there, and all that happened.

    Attributes:
        source: what the source says now: live or gone, or it fails; or whoever asks it breaks.
        told: how many events of actions there ever were, also of those who were erased.
        scheduled: by the hour of the day when a schedule comes next.
    """

    versions: list[Version] = field(default_factory=list)
    active: int | None = None
    shadow: int | None = None
    acted: set[int] = field(default_factory=set)
    source: str = "live"
    runs: list[Run] = field(default_factory=list)
    actions: dict[tuple[str, str, str, str], Action] = field(default_factory=dict)
    tags: dict[str, list[Tag]] = field(default_factory=dict)
    known: dict[str, Known] = field(default_factory=dict)
    told: int = 0
    begun: int = 0
    scheduled: dict[int, int] = field(default_factory=dict)

    # What begins runs.

    def listeners(self, flow: str) -> dict[int, bool]:
        """Give the versions that listen, and whether they act."""
        if flow == FOLLOWS:
            return {1: True}
        found = {} if self.active is None else {self.active: True}
        if self.shadow is not None:
            found.setdefault(self.shadow, False)
        return found

    def begin(self, flow: str, customer: str, cause: str, amount: float | None, now: int) -> None:
        """Begin the runs of an event; what comes again under its name is the same one."""
        known = {run.key for run in self.runs}
        for version, acting in sorted(self.listeners(flow).items()):
            if (flow, version, customer, cause, acting) not in known:
                self.begun += 1
                self.runs.append(Run(flow, version, customer, cause, acting, amount, now, number=self.begun))

    def listen_to_the_clock(self, now: int) -> None:
        """Let schedules come from the first moment on that is after now."""
        self.scheduled = {hour: latest(hour, now) + DAY_US for hour in (FOR_ALL_HOUR, FOR_MEMBERS_HOUR)}

    def let_schedules_come(self, now: int) -> None:
        """Begin what schedules say: of several moments that passed, the runs of the latest."""
        for hour, due_us in self.scheduled.items():
            if due_us > now:
                continue
            moment = latest(hour, now)
            self.scheduled[hour] = moment + DAY_US
            for customer, known in self.known.items():
                if hour == FOR_ALL_HOUR or known.is_in:
                    self.begin(FOLLOWS, customer, f"schedule:{iso_text(moment)}", None, now)

    def give_tag(self, customer: str, name: str, until: int | None, now: int) -> None:
        """Give a tag, and begin what listens to it."""
        rows = self.tags[customer]
        live = [each for each in rows if each.name == name and each.is_live(now)]
        if live and live[0].until_us == until:
            return
        self.tell_ends_of(customer, now)
        for each in live:
            each.until_us, each.planned = now, False
        rows.append(Tag(name, now, until, planned=until is not None))
        listens = RUNS if name == "ask" else FOLLOWS
        self.begin(listens, customer, f"tag:{len(rows)}", None, now)

    def end_tag(self, customer: str, name: str, now: int) -> bool:
        """End a tag; False where there is none."""
        live = [each for each in self.tags[customer] if each.name == name and each.is_live(now)]
        for each in live:
            each.until_us, each.planned = now, False
            self.begin(FOLLOWS, customer, f"tag-end:{self.tags[customer].index(each) + 1}.{now}", None, now)
        return bool(live)

    def tell_ends(self, now: int) -> None:
        """Tell of the tags that the clock ended: of those that no other row of the same one carries on."""
        for customer in self.tags:
            self.tell_ends_of(customer, now)

    def tell_ends_of(self, customer: str, now: int) -> None:
        """Tell of those of one customer."""
        rows = self.tags[customer]
        for place, row in enumerate(rows, 1):
            end = row.until_us
            if not row.planned or end is None or end > now:
                continue
            row.planned = False
            of_same = [each for each in rows if each.name == row.name and each is not row and each.from_us <= end]
            if not any(each.until_us is None or each.until_us > end for each in of_same):
                self.begin(FOLLOWS, customer, f"tag-end:{place}.{end}", None, now)

    # What is known of a customer, and what follows from that once it is assessed.

    def come(self, customer: str, country: str, version: int, level: str | None = None) -> None:
        """Take a customer in, with how many versions its fields have had."""
        self.tags[customer] = []
        self.known[customer] = Known(country, version, level, moved=int(level is not None))

    def change_country(self, customer: str, country: str, now: int) -> None:
        """Change the field; the same value is no change."""
        if self._has_changed(customer, country):
            self.begin(FOLLOWS, customer, f"field:{self.known[customer].version}", None, now)

    def import_countries(self, countries: dict[str, str], now: int) -> None:
        """Change fields by a file: for whoever it says anything new of, that is an import."""
        changed = [customer for customer, country in countries.items() if self._has_changed(customer, country)]
        for customer in changed:
            self.begin(FOLLOWS, customer, f"import:attributes-{changed[0]}.{now}", None, now)

    def import_payment(self, customer: str, number: int, now: int) -> None:
        """Pay by a file: that is history, and no transaction that runs a flow."""
        self.known[customer].payments += 1
        self.begin(FOLLOWS, customer, f"import:t{number}", None, now)

    def _has_changed(self, customer: str, country: str) -> bool:
        known = self.known[customer]
        if country == known.country:
            return False
        known.country, known.version = country, known.version + 1
        return True

    def pay(self, customer: str, number: int, amount: float, now: int) -> None:
        """Pay; the flow looks at the payment."""
        self.known[customer].payments += 1
        self.begin(RUNS, customer, f"transaction:t{number}", amount, now)

    def screen(self, customer: str, now: int, *, found: bool) -> None:
        """Screen a customer; one of the same moment and result is the same one."""
        screenings = self.known[customer].screenings
        if (found, now) not in screenings:
            screenings.append((found, now))
            if found:
                self.begin(FOLLOWS, customer, f"screening:{len(screenings)}", None, now)

    def assess(self, now: int) -> None:
        """Give everybody the level, and the place in the group, that follow from the country, and the value."""
        for customer, known in self.known.items():
            segment = segment_of(known.payments)
            if segment == "top" != known.segment:
                self.begin(FOLLOWS, customer, f"segment:{now}", None, now)
            known.segment = segment
            level, is_in = LEVELS[known.country], known.country == ABROAD
            if level != known.level:
                known.level, known.moved = level, known.moved + 1
                if level == "high":
                    self.begin(FOLLOWS, customer, f"level:{known.moved}", None, now)
            if is_in != known.is_in:
                known.is_in, known.group_moves = is_in, known.group_moves + 1
                if is_in:
                    self.begin(FOLLOWS, customer, f"group:abroad.{known.group_moves}", None, now)

    # What carries them on.

    def due(self, now: int) -> list[Run]:
        return [run for run in self.runs if run.is_open and run.due_us is not None and run.due_us <= now]

    def work(self, now: int, moment: Callable[[Run], int] | None = None) -> None:
        """Carry on all that is due, at a moment that *moment* tells of each, or now."""
        when = moment or (lambda _: now)
        while due := self.due(now):
            for run in sorted(due, key=when):
                self.carry_on(run, when(run))

    def carry_on(self, run: Run, now: int) -> None:
        """Carry a run on until it ends, or stops for longer."""
        off = run.flow == RUNS and self.active is None
        if run.at == "ask" and run.answer is None and (run.due_us or 0) <= now:
            run.answer = "nobody"
            self.pass_on(run, now)
        elif run.at == "register" and run.outcome is None and run.acting and not off:
            if self.source == "breaks":
                self.break_off(run, now)
                return
            run.outcome = self.source
            self.pass_on(run, now)
        state, run.at = self.reached(run)
        run.attempts = 0
        if off and run.acting:
            run.state, run.due_us = "failed", None
        elif state == "asks":
            run.state, run.due_us = ("queued", now) if run.acting else ("waiting", None)
        elif state == "waits":
            run.state, run.due_us = "waiting", now + WITHIN_US if run.acting else None
        else:
            run.state, run.due_us = state, None
            if run.acting:
                self.act(run, FAILS[run.flow] if state == "failed" else ENDS[run.at], now)

        if not run.acting and run.state == "waiting":
            self.catch_up(run, now)

    def pass_on(self, acting: Run, now: int) -> None:
        """Let the shadow's run of the same cause go on, if it waits where something came to the one that acts."""
        for run in self.runs:
            same = (run.flow, run.customer, run.cause) == (acting.flow, acting.customer, acting.cause)
            if same and not run.acting and (run.version, run.state, run.at) == (self.shadow, "waiting", acting.at):
                self.catch_up(run, now)

    def catch_up(self, shadow: Run, now: int) -> None:
        """Give a shadow that waits what came there to the run of the version that acts now, if anything did."""
        partner = (shadow.flow, self.active, shadow.customer, shadow.cause, True)
        for run in self.runs:
            if run.key == partner:
                came = run.outcome if shadow.at == "register" else run.answer
                if came is not None:
                    shadow.due_us = now
                    if shadow.at == "register":
                        shadow.outcome = came
                    else:
                        shadow.answer = came

    def break_off(self, run: Run, now: int) -> None:
        """Fail to carry a run on, through no fault of its own; the last time it does what it would after a failure."""
        run.attempts += 1
        if run.attempts >= MOST_ATTEMPTS:
            run.state, run.due_us = "quarantined", None
            self.act(run, FAILS[run.flow], now)
        else:
            run.state, run.due_us = "queued", now + BACK_OFF_US[run.attempts - 1]

    def reached(self, run: Run) -> tuple[str, str]:  # noqa: PLR0911 (one for each place)
        """Tell where a run comes to with what is known."""
        if run.flow == FOLLOWS:
            return "ended", "marked"
        version = self.versions[run.version - 1]
        if run.amount is None:
            return "failed", "size"
        if run.amount <= 1000:
            return "ended", "flag" if run.amount > version.above else "nothing"
        if run.outcome is None:
            return "asks", "register"
        if run.outcome == "live":
            return "ended", "flag"
        if run.answer is None:
            return "waits", "ask"
        return "ended", {**ANSWERS, "nobody": version.otherwise}[run.answer]

    def act(self, run: Run, actions: tuple[str, ...], now: int) -> None:
        """Take actions that were not taken for this cause."""
        above = self.versions[run.version - 1].above if run.flow == RUNS else 0
        for name in actions:
            action = Action(run.flow, run.customer, run.cause, name, now, above, run.answer in ANSWERS, run.number)
            if action.key in self.actions:
                continue
            self.actions[action.key] = action
            self.told += 1
            if name == "note" and not any(
                each.name == "large" and (each.until_us or 0) >= now + TAG_US for each in self.tags[run.customer]
            ):
                self.give_tag(run.customer, "large", now + TAG_US, now)

    # What people do.

    def take_back(self, action: Action, now: int) -> None:
        """Take an action back; a tag goes on as long as other actions still give it, and else ends."""
        action.taken_back = True
        self.told += 1
        if action.action != "note":
            return
        others = (each for each in self.actions.values() if each.customer == action.customer and not each.taken_back)
        end = max((each.at_us + TAG_US for each in others if each.action == "note"), default=0)
        if end <= now:
            self.end_tag(action.customer, "large", now)
        for tag in self.tags[action.customer]:
            if tag.name == "large" and tag.is_live(now):
                tag.until_us = min(tag.until_us or end, end)

    def try_again(self, run: Run, now: int) -> None:
        """Let a run be tried again that was given up."""
        run.state, run.due_us, run.attempts = "queued", now, 0

    def forget(self, customer: str) -> None:
        """Erase a customer."""
        self.runs = [run for run in self.runs if run.customer != customer]
        self.actions = {key: each for key, each in self.actions.items() if each.customer != customer}
        del self.tags[customer], self.known[customer]

    def standing(self, customer: str) -> tuple[str | None, int | None]:
        """Give what stands: the severest of each flow's latest and of what a person decided; the latest limit."""
        stands = [each for each in self.actions.values() if each.customer == customer and not each.taken_back]
        statuses = []
        for flow in (RUNS, FOLLOWS):
            given = [each for each in stands if each.flow == flow and each.action in STATUSES]
            statuses += [STATUSES[each.action] for each in not_replaced(given)]
        limits = [each.above * 100 for each in not_replaced([each for each in stands if each.action == "bound"])]
        return min(statuses, key=SEVERITY.index, default=None), min(limits, default=None)
