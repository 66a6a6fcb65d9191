"""The replay itself: all entities, or their events in a period, part by part, by two versions on the same facts.

Only the findings are stored. A worker that takes over a replay goes on behind the last stored part; if what the
versions ask has changed since the first part, it begins anew.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from typing import Any, Final

import polars as pl
from sqlalchemy.orm import Session

from fivefold.domain.canonical import canonical_json
from fivefold.flows.language import Flow
from fivefold.flows.program import flow_program_for
from fivefold.flows.run import Runs
from fivefold.store.flows.history import answers_of
from fivefold.store.flows.replays import forget_people, keep_people
from fivefold.store.rulesets.activations import count_of_type
from fivefold.usecases.flows.replays.happenings import (
    Causes,
    Listening,
    ReplayedCause,
    causes_in,
    kinds_of,
    members_run_for,
    notes_of_origins,
    read_versions_that_acted,
)
from fivefold.usecases.flows.replays.tally import ROW, ReplayTally, ends_of
from fivefold.usecases.flows.replays.then import AnswersKept, answers_kept, levels_then, notes_of_members
from fivefold.usecases.flows.runs.facts import LookedAt, read_facts
from fivefold.usecases.flows.runs.outcomes import ENGINE, RunnableVersion, version_now
from fivefold.usecases.rulesets.run_backtest import SMALLER, EntitiesTogether, parts_of_type
from fivefold.usecases.shared.jobs import Lease

MOST_CAUSES: Final = 100_000
"""The most causes to replay before findings are stored. An entity that has more is a part of its own."""
MOST_MOMENTS: Final = 5_000
"""The most moments, likewise: facts are read anew for each, which takes most of the time."""
_OFTEN: Final = 50
"""After this many moments the findings are put together."""


@dataclass(frozen=True, kw_only=True)
class ReplayWanted:
    """What is replayed.

    Attributes:
        period: the first moment of what happened, and the one after the last; None for everybody as of `as_of_us`.
        reached: what an earlier worker stored; None if none did.
    """

    version_id: int
    base_version_id: int | None
    as_of_us: int
    period: tuple[int, int] | None
    until_id: int
    reached: str | None


def make_replay(lease: Lease, wanted: ReplayWanted) -> None:
    """Run a replay, and store its findings; InvalidRulesetError if a version lacks something that it needs."""
    with lease.who.reading() as session:
        version = version_now(session, wanted.version_id)
        replay = _Replay(
            lease=lease,
            wanted=wanted,
            version=version,
            base=None if wanted.base_version_id is None else version_now(session, wanted.base_version_id),
            acted=read_versions_that_acted(session, version.flow.id),
        )
        total = count_of_type(session, replay.version.flow.type_id, wanted.until_id)
    replay.run(total)


@dataclass(frozen=True, kw_only=True)
class _Replay:
    lease: Lease
    wanted: ReplayWanted
    version: RunnableVersion
    base: RunnableVersion | None
    acted: Sequence[tuple[int, Flow | None]]

    @property
    def _about(self) -> dict[str, Any]:
        """Return what is compared; a result holds for these alone."""
        base = None if self.base is None else dict(self.base.about)
        return {"engine": ENGINE, "flow": dict(self.version.about), "base": base}

    def run(self, total: int) -> None:
        tally = self._begin()
        behind, type_id = (tally.after_id, tally.entities), self.version.flow.type_id
        # As large as for one moment, also in a period: the more causes share a moment, the less often facts are read.
        parts = parts_of_type(self.lease.who.engine, type_id, self.wanted.until_id, total, self.lease.attempt, behind)
        for part in parts:
            self.lease.progress(part.done, total, part.words)
            with self.lease.who.reading() as session:
                for few, causes in self._divided(session, part):
                    people = self._part(session, few, causes, tally, total)
                    tally.after_id, tally.entities = few.ids[-1], few.done + len(few.ids)
                    write_part = _part_writer(self.lease.number, self._about, tally, people)
                    self.lease.progress(tally.entities, total, part.words, write_part)
        self.lease.keep(lambda session: self._report(session, tally))

    def _divided(self, session: Session, part: EntitiesTogether) -> Iterator[tuple[EntitiesTogether, Causes]]:
        """Divide a part by its number of causes; those of schedules are read for few enough entities at once."""
        smaller = SMALLER ** (self.lease.attempt - 1)
        bounds = max(1, MOST_CAUSES // smaller), max(1, MOST_MOMENTS // smaller)
        moments = len(set[int]().union(*self.listening.moments))
        at_once = max(1, bounds[0] // moments) if moments else len(part.ids)
        for first in range(0, len(part.ids), at_once):
            ids = part.ids[first : first + at_once]
            few = replace(part, ids=ids, done=part.done + first)
            yield from _divided(few, causes_in(session, self.listening, ids), *bounds)

    def _begin(self) -> ReplayTally:
        """Go on from what an earlier worker stored for the same versions; otherwise discard it."""
        if self.wanted.reached is not None:
            reached = json.loads(self.wanted.reached)
            if reached["about"] == json.loads(canonical_json(self._about)):
                return ReplayTally.read(reached["tally"])
            with self.lease.who.writing() as session:
                forget_people(session, self.lease.number)
        return ReplayTally()

    @cached_property
    def listening(self) -> Listening:
        """Who would have run for what."""
        return Listening(
            flow_id=self.version.flow.id,
            acted=self.acted,
            type_id=self.version.flow.type_id,
            flow=self.version.analysed.flow,
            base=None if self.base is None else self.base.analysed.flow,
            as_of_us=self.wanted.as_of_us,
            period=self.wanted.period,
        )

    def _report(self, session: Session, tally: ReplayTally) -> dict[str, Any]:
        of, counts = self.listening, tally.as_json()
        groups = [set[str]() if of.period else members_run_for(flow) or set() for flow in of.flows]
        del counts["after_id"]  # a number that means nothing outside
        report = canonical_json(
            {
                **self._about,
                "as_of_us": self.wanted.as_of_us,
                "period": None if self.wanted.period is None else list(self.wanted.period),
                "not_replayed": list(kinds_of(of.flows)[1]) if of.period else [],
                "members_of": sorted(groups[0]),
                "base_members_of": sorted(set().union(*groups[1:])),
                "notes": [
                    *notes_of_members(session, of.type_id, of.groups, of.begins_us, tally.unknown_members),
                    *notes_of_origins(tally.unknown_origin),
                ],
                **counts,
            }
        )
        return {"report": report, "report_hash": sha256(report.encode()).hexdigest(), "reached": None}

    def _part(
        self, session: Session, part: EntitiesTogether, about: Causes, tally: ReplayTally, total: int
    ) -> list[dict[str, Any]]:
        """Replay a part; count it, and return the rows that the versions treat otherwise."""
        causes = about.replayed
        until_us = None if self.wanted.period else self.wanted.as_of_us
        flow_id = self.version.flow.id
        answers = answers_kept(answers_of(session, flow_id, part.ids, until_us), by_cause=until_us is None)
        if self.wanted.period:
            tally.causes.update(each.kind for each in causes)
            tally.unknown_origin.update(each.kind for each in causes if each.is_origin_unknown)
        tally.unknown_members.update(group for groups in about.unknown.values() for group in groups)
        after, before = _Ends(), _Ends()
        for together in _together(causes):
            self.lease.hold(part.done, total, part.words)
            listening = [each for each in together if each.listens]
            after.add(self._ends(session, self.version, listening, answers, tally))
            if self.base is not None:
                self.lease.hold(part.done, total, part.words)
                listening = [each for each in together if each.base_listens]
                before.add(self._ends(session, self.base, listening, answers, None))
        both = _beside(causes, after.together(), before.together())
        return _people(tally.add(both, has_base=self.base is not None))

    def _ends(
        self,
        session: Session,
        version: RunnableVersion,
        causes: Sequence[ReplayedCause],
        answers: AnswersKept,
        tally: ReplayTally | None,
    ) -> pl.DataFrame:
        """Run a version for causes of one moment, each of another entity; count the stored answers that it used."""
        if not causes:
            return pl.DataFrame(schema=ROW)
        flow, at_us = version.flow, causes[0].at_us
        looked_at: Mapping[int, LookedAt] = {each.entity_id: each.transaction for each in causes}
        read = read_facts(session, flow.organisation_id, flow.type_id, version.analysed, looked_at, at_us, levels_then)
        program = flow_program_for(version.analysed, read.facts.versions, read.base)
        run_context, there = answers.run_context(
            program, read, {each.entity_id: (each.entity_id, each.cause) for each in causes}
        )
        outcomes = program.run(read.facts.own, run_context)
        if tally is not None:
            for step, is_answered in there.items():
                passed = outcomes[program.steps[program.flow.positions[step]].column].is_not_null()
                tally.answered[step] += int((passed & is_answered).sum())
        runs = Runs(program=program, facts=read.facts, outcomes=outcomes)
        if tally is not None:
            tally.add_failures(runs)
        return ends_of(runs, {each.entity_id: each.cause for each in causes}, read.base)


class _Ends:
    """The ends of a version's runs, moment by moment.

    A frame of one row takes 20 KB, whatever it says, so small frames are put together often.
    """

    def __init__(self) -> None:
        self._whole: list[pl.DataFrame] = [pl.DataFrame(schema=ROW)]
        self._few: list[pl.DataFrame] = []

    def add(self, ends: pl.DataFrame) -> None:
        self._few.append(ends)
        if len(self._few) == _OFTEN:
            self._whole.append(pl.concat(self._few, rechunk=True))
            self._few.clear()

    def together(self) -> pl.DataFrame:
        return pl.concat([*self._whole, *self._few], rechunk=True)


def _divided(
    part: EntitiesTogether, causes: Causes, most_causes: int, most_moments: int
) -> Iterator[tuple[EntitiesTogether, Causes]]:
    """Divide a part, with the causes of each piece, by the number of causes and of moments."""
    by_entity: dict[int, list[ReplayedCause]] = {}
    for each in causes.replayed:
        by_entity.setdefault(each.entity_id, []).append(each)
    first, few, moments = 0, list[ReplayedCause](), set[int]()

    def of_these(ids: tuple[int, ...]) -> tuple[EntitiesTogether, Causes]:
        unknown = {entity: causes.unknown[entity] for entity in ids if entity in causes.unknown}
        return replace(part, ids=ids, done=part.done + first), Causes(few, unknown)

    for place, entity in enumerate(part.ids):
        these = by_entity.get(entity, [])
        theirs = {each.at_us for each in these}
        further = len(moments) + len(theirs - moments)
        if first < place and (len(few) + len(these) > most_causes or further > most_moments):
            yield of_these(part.ids[first:place])
            first, few, moments = place, [], set()
        few.extend(these)
        moments |= theirs
    yield of_these(part.ids[first:])


def _together(causes: Iterable[ReplayedCause]) -> Iterator[list[ReplayedCause]]:
    """Split causes into parts, each of one moment and with an entity once at most."""
    moments: dict[int, list[ReplayedCause]] = {}
    for each in causes:
        moments.setdefault(each.at_us, []).append(each)
    for same_moment in moments.values():
        waiting = same_moment
        while waiting:
            first = {each.entity_id: each for each in reversed(waiting)}
            yield list(first.values())
            waiting = [each for each in waiting if first[each.entity_id] is not each]


def _beside(causes: Sequence[ReplayedCause], after: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """Join the ends of both versions, a row for each cause; empty where one does not run."""
    schema = {"entity": pl.Int64, "cause": pl.String, "at_us": pl.Int64}
    rows = pl.DataFrame([(each.entity_id, each.cause, each.at_us) for each in causes], schema, orient="row")
    on = ["entity", "cause"]
    both = rows.join(after, on=on, how="left", maintain_order="left")
    both = both.join(before, on=on, how="left", suffix="_before", maintain_order="left")
    return both.with_columns(pl.col(pl.String).fill_null(""))


def _people(rows: pl.DataFrame) -> list[dict[str, Any]]:
    numbered = rows.with_columns(pl.int_range(pl.len()).over("entity").alias("number"))
    return [
        {
            "entity_id": row["entity"],
            "number": row["number"],
            "cause": row["cause"],
            "at_us": row["at_us"],
            "before_state": row["state_before"],
            "before_at": row["at_before"],
            "before_actions": row["actions_before"],
            "state": row["state"],
            "stopped_at": row["at"],
            "actions": row["actions"],
        }
        for row in numbered.iter_rows(named=True)
    ]


def _part_writer(number: int, about: Mapping[str, Any], tally: ReplayTally, people: list[dict[str, Any]]) -> Any:
    reached = canonical_json({"about": about, "tally": tally.as_json()})

    def write(session: Session) -> dict[str, Any]:
        keep_people(session, number, people)
        return {"reached": reached}

    return write
