"""Who may not answer what a run asks: where two people are asked, one does not do the work of both."""

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
    """Give who called a run, or caused it by a tag or a case, also by way of other flows; as the audit log names them.

    Flows are not among them, nor is the program itself.
    """
    named = {run.actor, run.about.get("by"), *run.about.get("people", ())}
    return frozenset(name for name in named if name is not None and name != SYSTEM and not name.startswith(FLOW_ACTOR))


def origin_by(run: FlowRun, answered: Collection[str]) -> Origin:
    """Tell by what comes about whatever a run does: by its flow and those before, with everybody behind these.

    *answered* are those who answered what it asked, as the audit log names them.
    """
    before = origin_of(run.about)
    people = tuple(sorted(people_behind(run)))
    return Origin((*before.through, run.flow_id), people, tuple(sorted({*before.answered, *answered})))


def part_taken(session: Session, run: FlowRun, flow: Flow, name: str, asking: str) -> str:
    """Tell by what part in a run a person cannot answer what a step of it asks, in words; empty where they can.

    Steps that ask different roles ask different people, whatever roles one of them has. Nor can who answered a run
    answer that of another flow which began by what theirs did. An organisation of one person
    is left out of both.

    Args:
        session: to read with.
        run: that waits at that step, or passed it.
        flow: in the run's version.
        name: of the person, as the audit log has it.
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
    """Give a step that waits for a person, or waited, by its id: it has a title for people, and whom it asks."""
    question = flow.steps[flow.positions[step]]
    assert isinstance(question, PersonStep)  # a run waits for a person there, or a person answered there
    return question
