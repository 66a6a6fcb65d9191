"""Which value model serves: every change of it goes to MLflow's record and to the audit log, or to neither.

Where an organisation wants it, one person proposes a promotion and another approves it. One person rolls back.
"""

from dataclasses import dataclass, replace

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import now_microseconds
from fivefold.domain.errors import PromotionRefusedError
from fivefold.domain.text import count_text
from fivefold.models.promotions import PROMOTE, Promotion, apply_promotion, plan_promotion, plan_rollback
from fivefold.models.registry import Registry
from fivefold.store.accounts import tokens as accounts
from fivefold.store.accounts.members import count_other_organisations
from fivefold.store.accounts.organisation import lock_organisation, where_two_people_promote
from fivefold.store.levels.champions import begin_champion
from fivefold.store.sql.database import reading, writing
from fivefold.usecases.accounts.organisations import DEFAULT_ORGANISATION
from fivefold.usecases.changes.contents import ModelPromoted
from fivefold.usecases.changes.proposals import ProposalLine, ask_for
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context, record
from fivefold.usecases.shared.inputs import checked_reason


def need_of_two_people(engine: Engine) -> str:
    """Say which organisations want two people for a promotion, and what to do; empty where one person suffices."""
    with reading(engine) as session:
        return _need_of_two_people(session)


def _need_of_two_people(session: Session) -> str:
    names = list(where_two_people_promote(session).values())
    if not names:
        return ""
    return (
        f"two people promote a model in {', '.join(names)}: a member proposes it with"
        f" `fivefold promote VERSION --organisation {names[0]} --token TOKEN`, and another one approves"
    )


def promote_where_one_may(engine: Engine, registry: Registry, number: int, actor: str) -> Promotion | None:
    """Promote a version as `promote_model` does; None where an organisation wants two people for it."""
    return None if need_of_two_people(engine) else promote_model(engine, registry, number, actor)


def promote_model(
    engine: Engine, registry: Registry, number: int, actor: str, *, force: bool = False, reason: str = ""
) -> Promotion:
    """Make a version champion, and record it in the audit log of every organisation: the model values all of them.

    Args:
        engine: the database with the audit log.
        registry: where the version is.
        number: of the version.
        actor: who does it, as the audit log names them.
        force: against the gate, or where it could not compare.
        reason: why; needed with *force*.

    Raises:
        PromotionRefusedError: the gate did not allow it, the version does not load, or it takes two people.
        StoreError: the audit log cannot be written; then nothing is promoted.
    """
    return _recorded(engine, registry, plan_promotion(registry, number, force=force, reason=reason), actor)


def roll_back_model(engine: Engine, registry: Registry, actor: str, reason: str = "") -> Promotion:
    """Make the champion before the present one champion again, and record it as `promote_model` does."""
    return _recorded(engine, registry, plan_rollback(registry, reason), actor)


def propose_promotion(
    context: Context, registry: Registry, number: int, *, force: bool = False, reason: str = ""
) -> ProposalLine:
    """Propose that a version becomes champion; another person approves it where the registry is.

    Args:
        context: of a member of an organisation that wants two people.
        registry: where the version is.
        number: of the version.
        force: against the gate, or where it could not compare.
        reason: why; by default what the gate said.

    Raises:
        PromotionRefusedError: the gate did not allow it, the version does not load, or it takes one person.
        ConflictError: who asks is no member.
    """
    with context.reading() as session:
        if context.organisation_id not in where_two_people_promote(session):
            raise PromotionRefusedError(_need_of_two_people(session) or "one person promotes a model here")
    planned = plan_promotion(registry, number, force=force, reason=reason)
    content_hash, who = _content_hash(registry, number), context.actor.name
    content = ModelPromoted(
        model=registry.name,
        version=number,
        content_hash=content_hash,
        replaced=planned.replaced,
        force=force,
        proposed_by=who,
    )
    reach = {"gate": registry.version(number).tags.get("gate_reasons", "")}
    proposal = ask_for(context, content, planned.why, reach=reach, champions=RegistryChampions(registry)).proposal
    assert proposal is not None  # a promotion is never done by asking for it
    return proposal


@dataclass(frozen=True, kw_only=True)
class PromotionOutcome:
    """What a member's request gave: the version serves from now on, or that is proposed."""

    promotion: Promotion | None
    proposal: ProposalLine | None


def promote_by_member(
    context: Context, registry: Registry, number: int, reason: str, *, force: bool = False, serving: int | None = None
) -> PromotionOutcome:
    """Make a version champion as `promote_model` does, under the name of a member; or propose it, where two are needed.

    Args:
        context: of the member.
        registry: where the version is.
        number: of the version.
        reason: why.
        force: against the gate, or where it could not compare.
        serving: the champion that the member saw; None to replace it, whatever its number is.

    Raises:
        ConfigError: the reason is empty.
        PromotionRefusedError: the gate did not allow it, the version does not load, another version serves than the
            member saw, or the model values customers of other organisations too.
    """
    why = checked_reason(reason)
    with context.reading() as session:
        _refuse_for_others(session, context)
        two_people = context.organisation_id in where_two_people_promote(session)
    _refuse_unseen(registry, serving)
    try:
        if two_people:
            return PromotionOutcome(
                promotion=None, proposal=propose_promotion(context, registry, number, force=force, reason=why)
            )
        planned = plan_promotion(registry, number, force=force, reason=why)
    except PromotionRefusedError as error:
        without_words_of_the_terminal = str(error).partition("; overrule with")[0]
        raise PromotionRefusedError(without_words_of_the_terminal) from None
    return PromotionOutcome(promotion=_recorded_by(context, registry, planned, serving), proposal=None)


def roll_back_by_member(context: Context, registry: Registry, reason: str, *, serving: int | None = None) -> Promotion:
    """Make the champion before the present one champion again, under the name of a member; it needs one person.

    Errors are those of `promote_by_member`.
    """
    why = checked_reason(reason)
    with context.reading() as session:
        _refuse_for_others(session, context)
    _refuse_unseen(registry, serving)
    return _recorded_by(context, registry, plan_rollback(registry, why), serving)


def _refuse_for_others(session: Session, context: Context) -> None:
    """Refuse to decide for people of other organisations which model values their customers."""
    others = count_other_organisations(session, context.organisation_id)
    if others:
        raise PromotionRefusedError(
            f"the model values the customers of {count_text(others, 'other organisation')} too, so a member of one does"
            " not change it: the operator of the machine does, by fivefold promote or fivefold rollback"
        )


def _refuse_unseen(registry: Registry, serving: int | None) -> None:
    champion = registry.champion()
    if serving is not None and (champion is None or champion.number != serving):
        raise PromotionRefusedError(
            f"the champion changed meanwhile: {_called(None if champion is None else champion.number)} serves by now,"
            f" and {_called(serving)} did when this was asked for"
        )


def _recorded_by(context: Context, registry: Registry, planned: Promotion, serving: int | None) -> Promotion:
    """Do and record it as `_recorded` does, with the member in MLflow's record and in the log of their organisation."""
    by_member = replace(planned, who=context.actor.name)
    with context.writing() as session:
        lock_organisation(session, context.organisation_id)
        _refuse_unseen(registry, serving)
        need = _need_of_two_people(session)
        if need and planned.action == PROMOTE:
            raise PromotionRefusedError(need)
        _record(session, registry, by_member, f"cli:{planned.who}", context.actor)
        return apply_promotion(registry, by_member)


@dataclass(frozen=True)
class RegistryChampions:
    """Promotes what was proposed, in the registry of this machine; `usecases.changes.effects.Champions`."""

    registry: Registry

    def check(self, content: ModelPromoted, why: str) -> Promotion:
        """Plan what was proposed, by what the gate says now.

        Raises:
            PromotionRefusedError: the gate does not allow it; or the version or the champion is another one by now.
        """
        serving = self.registry.champion()
        replaced = None if serving is None else serving.number
        planned = plan_promotion(self.registry, content.version, force=content.force, reason=why)
        if replaced != content.replaced:
            raise PromotionRefusedError(
                f"{_called(content.replaced)} served when this was proposed, and {_called(replaced)} serves now;"
                " refuse the proposal and make another one"
            )
        if _content_hash(self.registry, content.version) != content.content_hash:
            raise PromotionRefusedError(f"version {content.version} is not the model that was proposed")
        return planned

    def promote(self, session: Session, context: Context, content: ModelPromoted, why: str) -> None:
        """Do what was proposed, with both people in MLflow's record; errors are those of `check`."""
        planned = self.check(content, why)
        both = replace(planned, who=f"{content.proposed_by}, approved by {context.actor.name}")
        _record(session, self.registry, both, f"cli:{planned.who}", context.actor)
        apply_promotion(self.registry, both)


def _called(version: int | None) -> str:
    return "no version" if version is None else f"version {version}"


def _content_hash(registry: Registry, number: int) -> str:
    return registry.version(number).tags.get("content_hash", "")


def _recorded(engine: Engine, registry: Registry, planned: Promotion, actor: str) -> Promotion:
    """Record first, then move the alias, then commit: where the alias does not move, nothing was recorded."""
    with writing(engine) as session:
        need = _need_of_two_people(session)
        if need and planned.action == PROMOTE:
            raise PromotionRefusedError(need)
        _record(session, registry, planned, actor)
        return apply_promotion(registry, planned)


def _record(
    session: Session, registry: Registry, planned: Promotion, at_machine: str, approver: Actor | None = None
) -> None:
    """Record it in the log of every organisation; *approver* in the log of their own, where the proposal is.

    From then on each value that another version gave names this one; workers that loaded it mark those entities due.
    """
    details = {
        "model": registry.name,
        "version": planned.version,
        "replaced": planned.replaced,
        "forced": planned.forced,
        "content_hash": _content_hash(registry, planned.version),
    }
    begin_champion(session, registry.name, planned.version, now_microseconds())
    organisations = accounts.every_organisation(session)
    if not organisations:
        organisations = [accounts.organisation_named(session, DEFAULT_ORGANISATION, now_microseconds()).id]
    for organisation_id in organisations:
        own = approver is not None and approver.organisation_id == organisation_id
        who = approver if approver is not None and own else Actor(organisation_id, at_machine)
        record(
            session,
            who,
            f"model.{_DONE[planned.action]}",
            ("model", planned.version),
            after={"reason": planned.why},
            details=details,
        )


_DONE = {"promote": "promoted", "rollback": "rolled_back"}
