"""Promotions: who made which version champion, when, why, and what it replaced. Records are only appended.

Each promotion is a run in an experiment of its own in MLflow, so that the alias and its history are in one place. Each
has a number, which counts on from the one before: the order is the one in which promotions were made, whatever the
clock said.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import dropwhile
from typing import NamedTuple

from fivefold.domain.clock import DAY_US, now_microseconds
from fivefold.domain.errors import ModelError, PromotionRefusedError
from fivefold.domain.provenance import account_name
from fivefold.models.registry import CHAMPION, RegisteredVersion, Registry

PROMOTE, ROLLBACK = "promote", "rollback"
_NUMBER = "number"
"""Tag of a record: its place in the order, from 1."""


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """One change of the champion.

    Attributes:
        at_us: when, microseconds.
        action: `promote` or `rollback`.
        version: the champion from then on.
        replaced: the champion before; None where there was none.
        who: the account of the machine that did it, by its number there, whatever the environment says, after the
            member who gave their token there; or the two members who proposed and approved it.
        why: the gate's verdict, or the operator's reason.
        forced: the gate forbade it, or could not compare.
        model_run: the training run of the version, as a registry that was made anew gives its number again; empty where
            it was promoted before that was recorded.
    """

    at_us: int
    action: str
    version: int
    replaced: int | None
    who: str
    why: str
    forced: bool
    model_run: str = ""


def promotion_history(registry: Registry) -> list[Promotion]:
    """List every promotion and rollback, oldest first; also the last one if its process ended before it marked the end.

    The oldest first is the order in which they were made; one that a fast clock dated is later than what follows it.
    """
    return [record.promotion for record in _counting(registry, _records(registry))]


def recorded_moments(registry: Registry) -> frozenset[int]:
    """Return the moments, microseconds, of all promotions and rollbacks that did not fail; each is unique."""
    return frozenset(record.promotion.at_us for record in _records(registry))


class _Record(NamedTuple):
    """A promotion with its run, which is *open* until it is marked as finished or failed.

    Its *number* counts from 1; it is 0 where the record was made before there were numbers.
    """

    run_id: str
    number: int
    open: bool
    promotion: Promotion


def _records(registry: Registry) -> list[_Record]:
    """List the records of all promotions that did not fail, oldest first."""
    experiment = registry.client.get_experiment_by_name(_experiment(registry))
    if experiment is None:
        return []
    runs = registry.client.search_runs(
        [experiment.experiment_id],
        filter_string="attributes.status != 'FAILED'",
        max_results=10_000,
    )
    records = [
        _Record(run.info.run_id, int(run.data.tags.get(_NUMBER, 0)), run.info.status == "RUNNING", _read(run.data.tags))
        for run in runs
        if "at_us" in run.data.tags  # others may have an experiment of that name
    ]
    return sorted(records, key=lambda record: (record.number, record.promotion.at_us, not record.open))


def _counting(registry: Registry, records: list[_Record]) -> list[_Record]:
    """Return the records that count.

    These are the finished ones, and the newest of all where it is open and its version serves: the process that moved
    the alias ended before it could mark the run.
    """
    finished, newest = [record for record in records if not record.open], records[-1:]
    if newest == finished[-1:]:
        return finished
    champion = registry.champion()
    serves = champion is not None and champion.number == newest[0].promotion.version
    return [*finished, *newest] if serves else finished


def promote(registry: Registry, number: int, *, force: bool = False, reason: str = "") -> Promotion:
    """Make a version champion: plan the promotion and apply it."""
    return apply_promotion(registry, plan_promotion(registry, number, force=force, reason=reason))


def rollback(registry: Registry, reason: str = "") -> Promotion:
    """Make the champion before the present one champion again: plan the rollback and apply it."""
    return apply_promotion(registry, plan_rollback(registry, reason))


def plan_promotion(registry: Registry, number: int, *, force: bool, reason: str) -> Promotion:
    """Plan to make a version champion, if the gate allowed it against the champion that serves now.

    PromotionRefusedError where its verdict does not allow that, see `gate_refusal`; *force* overrules.
    """
    version, champion = registry.version(number), registry.champion()
    if champion is not None and champion.number == number:
        raise PromotionRefusedError(f"version {number} is the champion already")
    refusal = gate_refusal(registry, version, champion)
    if refusal and not force:
        raise PromotionRefusedError(f"version {number} is not promoted: {refusal}; overrule with --force --reason TEXT")
    if force and not reason.strip():
        raise PromotionRefusedError("--force needs --reason TEXT: it is recorded with the promotion")
    why = reason.strip() or version.tags.get("gate_reasons", "")
    return _planned(registry, PROMOTE, number, champion, why, forced=force)


def plan_rollback(registry: Registry, reason: str) -> Promotion:
    """Plan to make the champion before the present one champion again; a second rollback goes one further back.

    A champion that was withdrawn is passed over. Where the alias names a version that is gone, the one that served last
    is meant.

    Raises PromotionRefusedError where no champion was replaced, or the earlier one does not load. Of the second case
    the error names a champion before that one which the registry still has.
    """
    champion = registry.champion()
    champions = _champions_before(registry, champion)
    if not champions:
        present = "" if champion is None else f" before version {champion.number}"
        raise PromotionRefusedError(f"there is nothing to roll back to: no version was champion{present}")
    before = champions.pop()
    why = reason.strip() or "rolled back"
    try:
        return _planned(registry, ROLLBACK, before, champion, why, forced=False)
    except PromotionRefusedError as error:
        gone = {before, champion.number if champion else None}
        there = {*registry.numbers()} - gone
        earlier = next((number for number in reversed(champions) if number in there), None)
        if earlier is None:
            raise
        way = f"version {earlier} was champion earlier; promote it with --force --reason TEXT"
        raise PromotionRefusedError(f"{error}; {way}") from error


def version_before(registry: Registry) -> int | None:
    """Return the version that a rollback would make champion; None if no champion was replaced."""
    return next(reversed(_champions_before(registry, registry.champion())), None)


def _champions_before(registry: Registry, champion: RegisteredVersion | None) -> list[int]:
    """List the champions before the one that serves, oldest first.

    Where the alias names a version that is gone, they end with the last one that was promoted here.
    """
    champions = _champions(promotions_of_present(registry), champion.number if champion else None)
    is_alias_lost = bool(champions) and champion is None and registry.champion_that_is_gone() is not None
    is_last_there = is_alias_lost and registry.has_version(champions[-1], None)
    return champions if is_last_there else champions[:-1]


def promotions_of_present(registry: Registry) -> list[Promotion]:
    """List the promotions since all of the model was deleted, oldest first, or all where it never was.

    Its numbers begin with 1 again then, so that some have the number of a version that served, and another run.
    """
    changes, runs = promotion_history(registry), registry.run_ids()
    is_other = [bool(each.model_run) and runs.get(each.version) not in {None, each.model_run} for each in changes]
    if not any(is_other):
        return changes
    later = changes[len(changes) - is_other[::-1].index(True) :]
    since = list(dropwhile(lambda change: change.version not in runs, later))
    return [replace(change, replaced=None) for change in since[:1]] + since[1:]


def _champions(changes: list[Promotion], serving: int | None) -> list[int]:
    """List the champions that were promoted and not rolled back; the last one serves, and no two beside are the same.

    What a promotion replaced, and what serves now, count also where the history does not have them: the alias was moved
    in MLflow.
    """
    champions: list[int] = []

    def begin(version: int | None) -> None:
        if version is not None and champions[-1:] != [version]:
            champions.append(version)

    for change in changes:
        begin(change.replaced)
        if change.action == PROMOTE:
            begin(change.version)
        else:
            del champions[-1:]
    begin(serving)
    return champions


def promotions_between(registry: Registry, first_us: int, last_us: int) -> list[Promotion]:
    """List the promotions in force at some time from *first_us* to *last_us*, oldest first.

    At a moment it is the last one made of those that are not dated later. So one that a fast clock dated ends at the
    latest with the date of the one after it.
    """
    changes = promotion_history(registry)
    return changes[max(_last_until(changes, first_us), 0) : _last_until(changes, last_us) + 1]


def _last_until(changes: list[Promotion], moment_us: int) -> int:
    """Return the index of the last change that is not dated after a moment; -1 if all are."""
    return max((place for place, change in enumerate(changes) if change.at_us <= moment_us), default=-1)


def promotions_on(registry: Registry, moment_us: int) -> list[Promotion]:
    """List the promotions in force at a moment; all of that day where the moment is a midnight UTC."""
    return promotions_between(registry, moment_us, moment_us + DAY_US - 1 if moment_us % DAY_US == 0 else moment_us)


def gate_refusal(registry: Registry, version: RegisteredVersion, champion: RegisteredVersion | None) -> str:
    """Return why the gate's verdict does not allow a promotion now; empty if it does.

    A verdict counts against the champion that it was given against. That on a recalibration compared nothing with one,
    so it counts against every champion with the same trees that has no later curve.
    """
    judged_against = version.tags.get("gate_champion", "")
    if champion is not None and judged_against != str(champion.number):
        is_later_curve = version.parent is not None and version.test_as_of >= champion.test_as_of
        if not (is_later_curve and registry.trees_of(version) == registry.trees_of(champion)):
            against = judged_against or "no champion"
            return f"not comparable: it was judged against {against}, and version {champion.number} serves"
    if version.tags.get("gate_promote") != "true":
        return f"the gate said: {version.tags.get('gate_reasons', 'nothing')}"
    return ""


def _planned(
    registry: Registry, action: str, number: int, champion: RegisteredVersion | None, why: str, *, forced: bool
) -> Promotion:
    replaced = champion.number if champion else None
    _require_loads(registry, number, champion)
    run = registry.version(number).run_id
    return Promotion(
        at_us=now_microseconds(),
        action=action,
        version=number,
        replaced=replaced,
        who=account_name(),
        why=why,
        forced=forced,
        model_run=run,
    )


def apply_promotion(registry: Registry, promotion: Promotion) -> Promotion:
    """Move the alias and record it in MLflow: the record is opened first, and counts once the alias has moved.

    Where MLflow's answer is lost, the alias says whether it moved; where that cannot be read, the record stays open.
    """
    records = _records(registry)
    for record in _counting(registry, records):
        if record.open:  # it counts by the alias, which moves now
            registry.client.set_terminated(record.run_id, "FINISHED")
    number = records[-1].number + 1 if records else 1
    tags = {name: "" if value is None else str(value) for name, value in vars(promotion).items()}
    run = registry.client.create_run(
        registry.experiment(_experiment(registry)),
        tags={**tags, _NUMBER: str(number)},
        run_name=f"{promotion.action} {promotion.version}",
    )
    try:
        registry.set_alias(CHAMPION, promotion.version)
    except BaseException as error:
        champion = registry.champion()
        if champion is None or champion.number != promotion.version:
            registry.client.set_terminated(run.info.run_id, "FAILED")
            raise
        if not isinstance(error, Exception):  # the process is to end
            raise
    with suppress(Exception):  # a record that stays open counts by the alias, which has moved
        registry.client.set_terminated(run.info.run_id, "FINISHED")
    return promotion


def _require_loads(registry: Registry, number: int, champion: RegisteredVersion | None) -> None:
    """Raise PromotionRefusedError where a version does not load, or no service could; force does not overrule that."""
    try:
        registry.load(number)
        registry.require_servable(number)
    except ModelError as error:
        stays = "so the champion stays" if champion else "and nothing serves"
        raise PromotionRefusedError(f"version {number} does not load, {stays}: {error}") from error


def _read(tags: dict[str, str]) -> Promotion:
    return Promotion(
        at_us=int(tags["at_us"]),
        action=tags["action"],
        version=int(tags["version"]),
        replaced=int(tags["replaced"]) if tags["replaced"] else None,
        who=tags["who"],
        why=tags["why"],
        forced=tags["forced"] == "True",
        model_run=tags.get("model_run", ""),
    )


def _experiment(registry: Registry) -> str:
    return f"{registry.name}-promotions"
