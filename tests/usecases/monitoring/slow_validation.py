"""Validation the slow way: one entity, one case, one alert at a time, in plain Python. The definitions, spelt out."""

from collections import Counter
from math import log

from tests.usecases.planted import Given, Planted, Step

NAMES = ["low", "medium", "high", "(no level)", "(never assessed)"]
NO_LEVEL, UNASSESSED = 3, 4


class Slow:
    """Looks back on a planted history; of one version, or of all where it is None."""

    def __init__(self, bank: Planted, from_us: int, until_us: int, version: int | None = None) -> None:
        self.bank, self.from_us, self.until_us, self.version = bank, from_us, until_us, version

    def stood(self, entity: int, at_us: int) -> Step | None:
        """What held at a moment."""
        found = [step for step in self.bank.steps[entity] if step.as_of_us <= at_us]
        return found[-1] if found else None

    def before(self, given: Given) -> Step | None:
        """What held just before a case or an alert was opened."""
        found = [step for step in self.bank.steps[self.about(given)] if step.as_of_us < given.opened_us]
        return found[-1] if found else None

    def about(self, given: Given) -> int:
        return self.bank.owner.get(given.entity, given.entity)

    def mine(self, step: Step | None) -> bool:
        return self.version is None or (step is not None and step.version == self.version)

    def closed(self, given: Given) -> int | None:
        return given.closed_us if given.closed_us is not None and given.closed_us < self.until_us else None

    def outcome(self, given: Given) -> str | None:
        return given.outcome if self.closed(given) is not None else None

    def confirmed_cases(self, entity: int | None = None) -> list[Given]:
        return [
            given
            for given in self.bank.records
            if given.kind == "case"
            and self.outcome(given) == "confirmed"
            and (entity is None or self.about(given) == entity)
        ]

    def first(self, entity: int) -> Step | None:
        """The assessment with which the time begins for an entity."""
        began = self.stood(entity, self.from_us)
        steps = [
            step for step in self.bank.steps[entity] if step is began or self.from_us < step.as_of_us <= self.until_us
        ]
        found = [step for step in steps if step.version is not None and self.mine(step)]
        return found[0] if found else None

    def ranked(self) -> tuple[list[tuple[Step, bool]], int, int, int]:
        """Who is ranked, and whether they are confirmed; who was known, whose case was under way or another's."""
        made, known, under_way, under_another = [], 0, 0, 0
        for entity in self.bank.steps:
            first = self.first(entity)
            if first is None:
                continue
            cases, since = self.confirmed_cases(entity), max(first.as_of_us, self.from_us)
            befores = [self.before(case) for case in cases]
            if any((case.closed_us or 0) <= since for case in cases):
                known += 1
            elif any(case.opened_us <= since for case in cases):
                under_way += 1
            elif cases and not any(self.mine(step) or step is None or step.version is None for step in befores):
                under_another += 1
            elif first.status == "assessed":
                made.append((first, bool(cases)))
        return made, known, under_way, under_another

    def gini(self) -> float:
        """By pairs: the confirmed of a pair is above, equal, or below, each by its place within its version."""
        ranked = self.ranked()[0]
        places = []
        for step, confirmed in ranked:
            peers = [float(other.score) for other, _ in ranked if other.version == step.version]
            mine = float(step.score)
            below, same = sum(peer < mine for peer in peers), sum(peer == mine for peer in peers)
            places.append(((below + (same + 1) / 2) / len(peers), confirmed))
        return by_pairs(places)

    def level_gini(self) -> float:
        """The same by the rules' levels."""
        return by_pairs([(float(step.rules_level or 0), confirmed) for step, confirmed in self.ranked()[0]])

    def caught(self) -> tuple[Counter[int], int, int, int]:
        """Where the newly confirmed stood; how many a lower override hid; never assessed; known before."""
        where: Counter[int] = Counter()
        hidden = unassessed = known = 0
        for entity in self.bank.steps:
            cases = self.confirmed_cases(entity)
            fresh = sorted(
                (case for case in cases if (case.closed_us or 0) >= self.from_us),
                key=lambda case: (case.closed_us, case.opened_us),
            )
            if not fresh:
                continue
            if any((case.closed_us or 0) < self.from_us for case in cases):
                known += 1
                continue
            step = self.before(fresh[0])
            if step is None:
                unassessed += 1
            elif self.mine(step):
                where[self.slot(step)] += 1
                hidden += step.level in {None, 1} and step.rules_level in {2, 3}
        return where, hidden, unassessed, known

    def slot(self, step: Step | None, *, rules: bool = False) -> int:
        if step is None:
            return UNASSESSED
        level = step.rules_level if rules else step.level
        return NO_LEVEL if level is None else level - 1

    def decided(self, alert: Given) -> tuple[str, int | None]:
        """What came of an alert, and when."""
        closed = self.closed(alert)
        cases = [
            given
            for given in self.bank.records
            if given.kind == "case"
            and self.about(given) == self.about(alert)
            and alert.opened_us <= given.opened_us < self.until_us
            and (closed is None or given.opened_us <= closed)
        ]
        yes = [self.closed(each) for each in [alert, *cases] if self.outcome(each) == "confirmed"]
        if yes:
            return "confirmed", min(each for each in yes if each is not None)
        ends = [self.closed(each) for each in [alert, *cases]]
        if None in ends:
            return "open", None
        said = any(self.outcome(each) is not None for each in [alert, *cases])
        return "not confirmed" if said else "without outcome", max(end for end in ends if end is not None)

    def alerts(self) -> dict[int, Counter[str]]:
        """Alerts by where the entity stood: opened, open, and what became known in the time."""
        made: dict[int, Counter[str]] = {slot: Counter() for slot in range(5)}
        for given in self.bank.records:
            step = self.before(given)
            if given.kind != "alert" or given.opened_us >= self.until_us or not self.mine(step):
                continue
            counts = made[self.slot(step)]
            counts["opened"] += given.opened_us >= self.from_us
            answer, at_us = self.decided(given)
            if answer == "open" or (at_us is not None and at_us >= self.from_us):
                counts[answer] += 1
        return made

    def spread(self, at_us: int, *, rules: bool = True) -> Counter[int]:
        """Who is where at a moment."""
        made: Counter[int] = Counter()
        for entity in self.bank.steps:
            step = self.stood(entity, at_us)
            if step is not None and step.version is not None and self.mine(step):
                made[self.slot(step, rules=rules)] += 1
        return made

    def index(self) -> float:
        """Population stability index of the rules' levels."""
        began, ended = self.spread(self.from_us), self.spread(self.until_us)
        total = 0.0
        for slot in range(4):
            before, after = (max(side[slot] / sum(side.values()), 1e-4) for side in (began, ended))
            total += (after - before) * log(after / before)
        return total


def by_pairs(places: list[tuple[float, bool]]) -> float:
    """Gini of places: how often the confirmed of a pair is above; equal ones count as halves."""
    hits = [place for place, confirmed in places if confirmed]
    others = [place for place, confirmed in places if not confirmed]
    wins = sum((hit > other) + (hit == other) / 2 for hit in hits for other in others)
    return 2 * wins / (len(hits) * len(others)) - 1
