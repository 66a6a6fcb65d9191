"""Changes of the serving value model: each is written to MLflow's record and to the audit log, or to neither.

If an organisation requires it, one person proposes a promotion and another approves it. One person rolls back.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.errors import ModelNotFoundError, NotFoundError, PromotionRefusedError
from fivefold.models.promotions import (
    PROMOTE,
    Promotion,
    apply_promotion,
    gate_refusal,
    plan_promotion,
    plan_rollback,
    promotions_of_present,
    version_before,
)
from fivefold.models.registry import Registry
from fivefold.store.accounts.organisation import lock_organisation, where_two_people_promote
from fivefold.store.accounts.tokens import has_other_organisations
from fivefold.store.changes.proposals import declined_proposals
from fivefold.store.rulesets.active_definitions import active_definitions
from fivefold.store.sql.database import await_other_system, reading, writing
from fivefold.usecases.changes.contents import ModelPromoted
from fivefold.usecases.changes.proposals import ProposalLine, request_change
from fivefold.usecases.models.promotion_log import content_hash_of, log_missing, log_promotion
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context, refuse_ended
from fivefold.usecases.shared.inputs import checked_reason


def need_of_two_people(engine: Engine) -> str:
    """Explain which organisations require two people for a promotion, and what to do; empty if one person suffices."""
    with reading(engine) as session:
        return _need_of_two_people(session)


def _need_of_two_people(session: Session) -> str:
    names = list(where_two_people_promote(session).values())
    if not names:
        return ""
    return (
        f"two people promote a model in {', '.join(names)}: a member proposes it with"
        f" `fivefold promote VERSION --organisation {names[0]}` and their token in FIVEFOLD_TOKEN,"
        " and another one approves"
    )


def promote_where_one_may(
    engine: Engine, registry: Registry, number: int, actor: str, person: Actor | None = None
) -> Promotion | None:
    """Promote a version as `promote_model` does; None if an organisation requires two people for it."""
    return None if need_of_two_people(engine) else promote_model(engine, registry, number, actor, person=person)


def decided_since(engine: Engine, registry: Registry, number: int) -> str:
    """Describe what was decided since a version was judged, which forbids its gate alone to promote it; or empty."""
    version, champion = registry.version(number), _champion(registry)
    if any(each.version == number for each in promotions_of_present(registry)):
        return f"version {number} was champion before, and {_version_text(champion)} serves now"
    judged_against = version.tags.get("gate_champion", "")
    if judged_against != str(champion or ""):
        return (
            f"version {number} was judged against {_version_text(int(judged_against) if judged_against else None)}, "
            f"and {_version_text(champion)} serves now"
        )
    with reading(engine) as session:
        for proposal in declined_proposals(session, ModelPromoted.kind):
            proposed = tuple(proposal.content.get(name) for name in ("model", "version", "content_hash"))
            if proposed == (registry.name, number, content_hash_of(registry, number)):
                return f"proposal {proposal.id} of version {number} was {proposal.state}"
    return ""


def promote_model(
    engine: Engine,
    registry: Registry,
    number: int,
    actor: str,
    *,
    force: bool = False,
    reason: str = "",
    person: Actor | None = None,
) -> Promotion:
    """Make a version champion, and record it in the audit log of every organisation: the model values all of them.

    Args:
        engine: the database with the audit log.
        registry: of the version.
        number: of the version.
        actor: the account that does it, as the audit log names it.
        force: against the gate, or if it could not compare.
        reason: why; required with *force*.
        person: who gave the command, if known: their own organisation's log names them, and MLflow's record names both.

    Raises:
        PromotionRefusedError: the gate did not allow it, the version does not load, or it takes two people.
        StoreError: the audit log cannot be written; then nothing is promoted.
    """
    planned = plan_promotion(registry, number, force=force, reason=reason)
    return _record_and_promote(engine, registry, planned, actor, person)


def money_changes(
    session: Session, registry: Registry, replaced: int | None, version: int, organisation_id: int | None = None
) -> list[str]:
    """Describe where a champion gives other money than the one before, and what reads it; empty if it does not.

    Args:
        session: to read with.
        registry: the registry of both.
        replaced: the number of the one before; None if none served.
        version: the number of the champion.
        organisation_id: the organisation whose definitions are named; None for those of every organisation.
    """
    if replaced is None:
        return []
    before, after = (_money_text(registry, number) for number in (replaced, version))
    if before == after:
        return []
    readers = [
        f"{each.word} {each.name} of {each.organisation}"
        for each in active_definitions(session, organisation_id)
        if _READS_MONEY.search(each.canonical)
    ]
    change = f"version {version} gives money {after}, and version {replaced} gives it {before}"
    texts = [f"{change}; where it is not in the base currency of rules, it is unknown to them"]
    if readers:
        texts.append(f"the expected value or the segment is read by {', '.join(readers)}; see whether limits still fit")
    return texts


_READS_MONEY = re.compile(r'"value":\s*(\{\}|"(expected_value|segment))|"on":\s*"segment"')
"""Finds, in a canonical form, inputs of the value, steps of flows that ask for it, and triggers on the segment."""


def _money_text(registry: Registry, number: int) -> str:
    definition = registry.version(number).definition or {}
    return f"in {definition.get('currency', 'an unknown currency')} over {definition.get('horizon_days', '?')} days"


def roll_back_model(
    engine: Engine, registry: Registry, actor: str, reason: str = "", person: Actor | None = None
) -> Promotion:
    """Make the previous champion champion again, and record it as `promote_model` does."""
    return _record_and_promote(engine, registry, plan_rollback(registry, reason), actor, person)


def propose_promotion(
    context: Context, registry: Registry, number: int, *, force: bool = False, reason: str = ""
) -> ProposalLine:
    """Propose that a version becomes champion; another person approves it at the machine with the registry.

    Args:
        context: of a member of an organisation that requires two people.
        registry: of the version.
        number: of the version.
        force: against the gate, or if it could not compare.
        reason: why; by default the gate's verdict.

    Raises:
        PromotionRefusedError: the gate did not allow it, the version does not load, or it takes one person.
        ConflictError: the actor is not a member.
    """
    with context.reading() as session:
        if context.organisation_id not in where_two_people_promote(session):
            raise PromotionRefusedError(_need_of_two_people(session) or "one person promotes a model here")
    promotion = plan_promotion(registry, number, force=force, reason=reason)
    content_hash, who = content_hash_of(registry, number), context.actor.name
    content = ModelPromoted(
        model=registry.name,
        version=number,
        content_hash=content_hash,
        replaced=promotion.replaced,
        force=force,
        proposed_by=who,
    )
    with context.reading() as session:
        money = money_changes(session, registry, promotion.replaced, number, context.organisation_id)
    reach = {"gate": registry.version(number).tags.get("gate_reasons", ""), **({"money": money} if money else {})}
    proposal = request_change(
        context, content, promotion.why, reach=reach, champions=RegistryChampions(registry)
    ).proposal
    assert proposal is not None  # a promotion always needs approval here
    return proposal


def needs_force_now(registry: Registry, number: int) -> bool:
    """Return whether the gate's verdict on a version does not allow that it replaces the one that serves."""
    return bool(gate_refusal(registry, registry.version(number), registry.champion()))


@dataclass(frozen=True, kw_only=True)
class PromotionOutcome:
    """The result of a member's request: the version serves from now on, or is proposed.

    Attributes:
        warnings: the lines of `money_changes` on both versions, and on what the member's organisation has.
    """

    promotion: Promotion | None
    proposal: ProposalLine | None
    warnings: Sequence[str]


def promote_by_member(
    context: Context, registry: Registry, number: int, reason: str, *, force: bool, serving: int | None
) -> PromotionOutcome:
    """Make a version champion as `promote_model` does, in the name of a member; or propose it, if two are required.

    Args:
        context: of the member.
        registry: of the version.
        number: of the version.
        reason: why.
        force: against the gate, or if it could not compare.
        serving: the champion that the member saw, 0 if they saw that none serves; None for no check.

    Raises:
        ConfigError: the reason is empty.
        NotFoundError: there is no such version.
        PromotionRefusedError: the gate did not allow it, the version does not load, the champion has changed since the
            member saw it, or the model values customers of other organisations too.
    """
    why = checked_reason(reason)
    _refuse_for_others(context)
    with context.reading() as session:
        two_people = context.organisation_id in where_two_people_promote(session)
    _refuse_unseen(registry, serving)
    try:
        if two_people:
            proposal = propose_promotion(context, registry, number, force=force, reason=why)
            return PromotionOutcome(promotion=None, proposal=proposal, warnings=proposal.reach.get("money", []))
        promotion = plan_promotion(registry, number, force=force, reason=why)
    except PromotionRefusedError as error:
        without_words_of_the_terminal = str(error).partition("; overrule with")[0]
        raise PromotionRefusedError(without_words_of_the_terminal) from None
    except ModelNotFoundError as error:
        raise NotFoundError(str(error)) from None
    done, warnings = _record_and_promote_by(context, registry, promotion, serving)
    return PromotionOutcome(promotion=done, proposal=None, warnings=warnings)


def roll_back_by_member(
    context: Context, registry: Registry, reason: str, *, serving: int | None
) -> tuple[Promotion, list[str]]:
    """Make the previous champion champion again, in the name of a member; one person suffices.

    Returns the rollback and the warnings, as of a `PromotionOutcome`. Errors are those of `promote_by_member`.
    """
    why = checked_reason(reason)
    _refuse_for_others(context)
    _refuse_unseen(registry, serving)
    return _record_and_promote_by(context, registry, plan_rollback(registry, why), serving)


def roll_back_warnings(context: Context, registry: Registry) -> list[str]:
    """Return the warnings of `roll_back_by_member`; empty if there is nothing to roll back to."""
    version = version_before(registry)
    with context.reading() as session, suppress(ModelNotFoundError):  # a lost version is refused, with the reason
        if version is not None:
            return money_changes(session, registry, _champion(registry), version, context.organisation_id)
    return []


def values_others(context: Context) -> bool:
    """Return whether the model values the customers of other organisations too."""
    with context.reading() as session:
        return has_other_organisations(session, context.organisation_id)


def _refuse_for_others(context: Context) -> None:
    """Refuse to decide for other organisations which model values their customers."""
    if values_others(context):
        raise PromotionRefusedError(
            "the model values the customers of other organisations too, so a member of one may not change it;"
            " the operator of the machine does, by fivefold promote or fivefold rollback"
        )


def _refuse_unseen(registry: Registry, serving: int | None) -> None:
    if serving is not None:
        _refuse_changed(registry, serving or None, "this was requested")


def _refuse_changed(registry: Registry, serving: int | None, when: str) -> None:
    """Refuse if another version serves by now than did then."""
    champion = _champion(registry)
    if champion != serving:
        raise PromotionRefusedError(
            f"the champion changed meanwhile: {_version_text(champion)} serves now, and {_version_text(serving)} did"
            f" when {when}"
        )


def _champion(registry: Registry) -> int | None:
    version = registry.champion()
    return None if version is None else version.number


def _record_and_promote_by(
    context: Context, registry: Registry, promotion: Promotion, serving: int | None
) -> tuple[Promotion, list[str]]:
    """Promote as `_record_and_promote` does, with the member in MLflow's record and in their organisation's log.

    Returns the promotion, and the lines of `money_changes` on it.
    """
    by_member = replace(promotion, who=context.actor.name)
    with context.reading() as session:
        warnings = money_changes(session, registry, promotion.replaced, promotion.version, context.organisation_id)
    with context.writing() as session:
        lock_organisation(session, context.organisation_id)
        _refuse_unseen(registry, serving)
        need = _need_of_two_people(session)
        if need and promotion.action == PROMOTE:
            raise PromotionRefusedError(need)
        return _carry_out(session, registry, by_member, f"cli:{promotion.who}", context.actor), warnings


@dataclass(frozen=True)
class RegistryChampions:
    """Promotes proposed versions, in the registry of this machine; `usecases.changes.effects.Champions`."""

    registry: Registry

    def check(self, content: ModelPromoted, why: str) -> Promotion:
        """Plan a proposed promotion, by the gate's present verdict.

        Raises:
            PromotionRefusedError: the gate does not allow it; or the version or the champion has changed.
        """
        present_champion = _champion(self.registry)
        promotion = plan_promotion(self.registry, content.version, force=content.force, reason=why)
        if present_champion != content.replaced:
            raise PromotionRefusedError(
                f"{_version_text(content.replaced)} served when this was proposed, and"
                f" {_version_text(present_champion)} serves now; refuse the proposal and make another one"
            )
        if content_hash_of(self.registry, content.version) != content.content_hash:
            raise PromotionRefusedError(f"version {content.version} is not the model that was proposed")
        return promotion

    def promote(self, session: Session, context: Context, content: ModelPromoted, why: str) -> None:
        """Carry out a proposed promotion, with both people in MLflow's record; errors are those of `check`."""
        promotion = self.check(content, why)
        both = replace(promotion, who=f"{content.proposed_by}, approved by {context.actor.name}")
        _carry_out(session, self.registry, both, f"cli:{promotion.who}", context.actor)


def _version_text(version: int | None) -> str:
    return "no version" if version is None else f"version {version}"


def _record_and_promote(
    engine: Engine, registry: Registry, promotion: Promotion, actor: str, person: Actor | None
) -> Promotion:
    """Promote for the operator of the machine, or for a *person* there; errors as of `_carry_out`.

    ConflictError if the person's token has ended since it was looked up, such as while the version was trained.
    """
    if person is not None:
        promotion = replace(promotion, who=f"{person.name} as {promotion.who}")
    with writing(engine) as session:
        if person is not None:
            refuse_ended(session, person)
        need = _need_of_two_people(session)
        if need and promotion.action == PROMOTE:
            raise PromotionRefusedError(need)
        return _carry_out(session, registry, promotion, actor, person)


def _carry_out(
    session: Session, registry: Registry, promotion: Promotion, at_machine: str, person: Actor | None
) -> Promotion:
    """Record first, then move the alias, then commit: if the alias does not move, nothing was recorded.

    A registry that answers late does not end the transaction, which would leave a moved alias without its record. A
    promotion waits for others that have recorded and not yet committed. So of two that were planned at once, the later
    one sees that the version that it replaces serves no longer.

    Raises:
        PromotionRefusedError: the version that serves is not the one that the promotion replaces.
    """
    await_other_system(session)
    log_missing(session, registry, at_machine)
    log_promotion(session, registry, promotion, at_machine, person)
    _refuse_changed(registry, promotion.replaced, "this was planned; look at `fivefold models`, then try again")
    return apply_promotion(registry, promotion)
