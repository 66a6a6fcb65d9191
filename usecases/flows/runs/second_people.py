"""Who may not answer the question of a run: if two people are asked, one cannot answer for both."""

from collections.abc import Collection

from sqlalchemy.orm import Session

from fivefold.flows.language import Flow, PersonStep
from fivefold.store.flows.runs import outcomes_of
from fivefold.store.levels.assessment_queue import Origin
from fivefold.store.tables.flows import FLOW_ACTOR, FlowRun
from fivefold.usecases.accounts.second_person import has_sole_operator
from fivefold.usecases.flows.runs.outcomes import PERSON
from fivefold.usecases.shared.actors import SYSTEM
from fivefold.usecases.shared.flow_triggers import origin_of


def people_behind(run: FlowRun) -> frozenset[str]:
    """Return the people who called a run, or caused it by a tag or a case, also through other flows.

    They are named as in the audit log; flows and the program itself are left out.
    """
    named = {run.actor, run.about.get("by"), *run.about.get("people", ())}
    return frozenset(name for name in named if name is not None and name != SYSTEM and not name.startswith(FLOW_ACTOR))


def origin_by(run: FlowRun, answered: Collection[str]) -> Origin:
    """Return the origin of what a run causes: its flow and the flows before it, and the people behind them.

    *answered* are the people who answered its questions, as the audit log names them.
    """
    before = origin_of(run.about)
    people = tuple(sorted(people_behind(run)))
    return Origin((*before.through, run.flow_id), people, tuple(sorted({*before.answered, *answered})))


def part_taken(session: Session, run: FlowRun, flow: Flow, name: str, asking: str) -> str:
    """Return the part in a run that bars a person from answering a step of it, in words; empty if they can.

    Steps that ask different roles ask different people, whatever roles one person has. Nor can a person who answered a
    run answer a run of another flow that the first one caused. Neither applies to an organisation of one person.

    Args:
        session: to read with.
        run: the run that waits at that step, or passed it.
        flow: the flow in the run's version.
        name: the name of the person in the audit log.
        asking: the step, which asks a person.
    """
    if name in people_behind(run):
        return f"called or caused run f:{run.id}"
    if name in origin_of(run.about).answered and not has_sole_operator(session, run.organisation_id):
        return f"answered what a flow asked by which run f:{run.id} came about"
    asked_role = question_at(flow, asking).person.role
    for step, outcome in outcomes_of(session, [run.id]).get(run.id, {}).items():
        if outcome.kind != PERSON or outcome.actor != name:
            continue
        question = question_at(flow, step)
        if question.person.role != asked_role:
            if has_sole_operator(session, run.organisation_id):
                return ""
            asks = f"asks a member of the role {question.person.role}"
            return f"answered {question.title!r} of run f:{run.id}, which {asks}"
    return ""


def question_at(flow: Flow, step: str) -> PersonStep:
    """Return a step that asks a person, by its id: it has the title of the question and the role."""
    question = flow.steps[flow.positions[step]]
    assert isinstance(question, PersonStep)  # a run waits for a person there, or a person answered there
    return question
