"""The flows of the model and of the machine: their versions as text, and to what each run comes by them."""

from dataclasses import dataclass

from fivefold.domain.clock import DAY_US
from tests.usecases.flows.flowing import HOUR_US

SEVERITY = ("blocked", "escalated", "flagged", "approved")


OFF = "off"


RUNS, FOLLOWS = "pays", "follows"
"""The flow whose versions change, and the one that listens to the tag that it gives, and to all else that happens."""


LEVELS = {"NO": "low", "RU": "medium", "IR": "high"}
"""The level that the ruleset gives by the country."""


ABROAD = "IR"
"""The country by which a customer is in the group."""


ENDS = {
    "passed": ("approved",),
    "flag": ("flagged", "note", "bound", "tell"),
    "stop": ("blocked",),
    "nothing": (),
    "marked": ("escalated",),
}


ANSWERS = {"right": "passed", "wrong": "stop", "odd": "flag"}
"""Where each answer of a person leads."""


DECIDES = ("approved", "blocked")
"""The actions that decide on the relationship."""


FAILS = {RUNS: ("look", "held"), FOLLOWS: ("escalated",)}


STATUSES = {**{status: status for status in SEVERITY}, "held": "escalated"}
"""The status that each action gives which gives one."""


@dataclass(frozen=True)
class Version:
    """What differs between versions: above what a payment is flagged, and where a run goes if nobody comes."""

    above: int
    otherwise: str

    @property
    def document(self) -> str:
        """Write it as a flow."""
        return f"""
flow: {RUNS}
title: Payments
entity_type: customer
rationale: Large payments are looked at.
levels: [low, medium, high]
transaction_fields: {{operation: text}}
triggers: [{{on: transaction}}, {{on: tag, tag: ask}}]
actions:
  - {{id: look, title: Look at it, review: 2 days}}
  - {{id: held, title: Hold, status: escalated}}
  - {{id: flagged, title: Flag, status: flagged}}
  - {{id: approved, title: Start, status: approved, relationship: starts}}
  - {{id: blocked, title: Refuse, status: blocked, relationship: refused}}
  - {{id: note, title: Note it, tag: large, lasts: 30 days}}
  - {{id: tell, title: Tell, webhook: large-payment}}
  - {{id: bound, title: Bound what goes out, limit: daily, amount: {self.above}, between: [0, 500]}}
steps:
  - id: size
    title: Size
    rationale: Small ones pass.
    route:
      - {{when: {{transaction: amount, above: 1000}}, to: register}}
      - {{when: {{transaction: amount, above: {self.above}}}, to: flag}}
    otherwise: nothing
  - id: register
    title: What the register says
    rationale: Who is there may be asked.
    data: {{source: register, send: {{amount: {{transaction: amount}}}}, gives: {{state: {{one_of: [live, gone]}}}}}}
    on_unknown: ask
  - id: which
    title: Which
    rationale: Who is live is flagged alone.
    route: [{{when: {{step: register, output: state, equals: live}}, to: flag}}]
    otherwise: ask
  - id: ask
    title: A person looks
    rationale: They know the customer.
    person:
      question: Is this payment right?
      role: investigator
      within: 4 hours
      answers: {{right: passed, wrong: stop, odd: flag}}
      otherwise: {self.otherwise}
  - {{id: nothing, title: Nothing, rationale: It is small., end: []}}
  - {{id: flag, title: Flagged, rationale: It is large., end: [flagged, note, bound, tell]}}
  - {{id: passed, title: Passed, rationale: It is right., end: [approved]}}
  - {{id: stop, title: Stopped, rationale: It is wrong., end: [blocked]}}
on_failure: [look, held]
"""


FOLLOWING = f"""
flow: {FOLLOWS}
title: What follows a tag
entity_type: customer
levels: [low, medium, high]
fields: {{country: country}}
triggers:
  - {{on: tag, tag: large}}
  - {{on: tag, tag: large, change: ended}}
  - {{on: tag, tag: ask, change: ended}}
  - {{on: alert}}
  - {{on: case}}
  - {{on: segment, to: [top]}}
  - {{on: screening, screening: pep, found: true}}
  - {{on: field, fields: [country]}}
  - {{on: level, direction: up, to: [high]}}
  - {{on: group, group: abroad, change: entered}}
  - {{on: import}}
  - {{on: schedule, every: day, at: "09:00", zone: UTC}}
  - {{on: schedule, every: day, at: "17:00", zone: UTC, group: abroad}}
actions: [{{id: escalated, title: Escalate, status: escalated}}]
steps: [{{id: marked, title: Marked, end: [escalated]}}]
on_failure: [escalated]
"""


FOR_ALL_HOUR, FOR_MEMBERS_HOUR = 9, 17
"""When the schedules of that flow come, for everybody and for the members of the group."""


def latest(hour: int, now: int) -> int:
    """Give the last moment by now at which a clock of UTC shows an hour."""
    return (now - hour * HOUR_US) // DAY_US * DAY_US + hour * HOUR_US
