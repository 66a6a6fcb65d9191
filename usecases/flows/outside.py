"""Ask the outside for the outcome of a step: one function for all kinds of steps, to be called outside transactions."""

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from fivefold.domain.clock import DAY_US, now_microseconds
from fivefold.domain.settings import AgentSettings, Settings
from fivefold.flows.analysis import outside_outputs
from fivefold.flows.language import AgentStep, DataStep, ModelStep, OutsideStep
from fivefold.flows.outside.outcomes import Cost, OutsideOutcome, failed_outcome, fitted_to
from fivefold.flows.outside.question import SentFacts, SentValue
from fivefold.usecases.flows.agents import answer_of_agent, require_agent
from fivefold.usecases.flows.answers import at_pointer, read_json, require_fit, require_without
from fivefold.usecases.flows.models.permitted import ModelsPermitted
from fivefold.usecases.flows.sources import DataSource, problems_of_step, read_sources
from fivefold.usecases.shared.connections import NotAnsweredError, OutgoingRequest, answer_after_tries

MOST_KEPT = 1_000
LONGEST_KEPT_US = DAY_US
"""No answer is kept for longer, whatever a flow says: it may be about a person."""


@dataclass(frozen=True)
class SourceAnswer:
    """The answer of a source: the values at its pointers, the time, and the SHA-256 of the bytes."""

    values: Mapping[str, Any]
    at_us: int
    digest: str


class KeptAnswers:
    """Recent answers of sources, in this process's memory alone; the oldest go if there are many."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: OrderedDict[tuple[str, ...], SourceAnswer] = OrderedDict()

    def get(self, key: tuple[str, ...], oldest_us: int, now_us: int) -> SourceAnswer | None:
        """Find an answer that is not older than a moment."""
        with self._lock:
            while self._answers and next(iter(self._answers.values())).at_us < now_us - LONGEST_KEPT_US:
                self._answers.popitem(last=False)
            answer = self._answers.get(key)
        return answer if answer is not None and oldest_us <= answer.at_us <= now_us else None

    def put(self, key: tuple[str, ...], answer: SourceAnswer) -> None:
        """Keep an answer."""
        with self._lock:
            self._answers.pop(key, None)
            self._answers[key] = answer
            while len(self._answers) > MOST_KEPT:
                self._answers.popitem(last=False)


def _note_nothing() -> None:
    """Record nothing when a source is asked."""


@dataclass(frozen=True, eq=False, kw_only=True)
class OutsideAccess:
    """What an organisation may ask, and how.

    Attributes:
        organisation: its name.
        sources: the sources that it may ask, by name.
        secrets: the secrets of sources, by name.
        agent: None if none is set up.
        models: the models that it may ask.
        clock: returns the present, microseconds.
        wait: waits a number of seconds before another try.
        note_asking: called right before a source is asked that must not be asked twice, to record that it was.
            NotAnsweredError if it was asked before: then it is not asked again, and the outcome is a failure.
        recent_answers: recent answers of sources.
    """

    organisation: str
    sources: Mapping[str, DataSource]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    agent: AgentSettings | None = None
    models: ModelsPermitted = field(default_factory=ModelsPermitted, repr=False)
    clock: Callable[[], int] = now_microseconds
    wait: Callable[[float], None] = time.sleep
    note_asking: Callable[[], None] = _note_nothing
    recent_answers: KeptAnswers = field(default_factory=KeptAnswers, repr=False)


def outside_of(settings: Settings, organisation: str) -> OutsideAccess:
    """Return what an organisation may ask; ConfigError if the operator's file of sources cannot be used."""
    require_agent(settings.agent)
    sources = read_sources(settings.sources_file, settings.secrets)
    models = ModelsPermitted(sources.allowed_models(organisation), settings)
    return OutsideAccess(
        organisation=organisation,
        sources=sources.allowed(organisation),
        secrets=settings.secrets,
        agent=settings.agent,
        models=models,
    )


def ask_together(outside: OutsideAccess, step: OutsideStep, facts: Sequence[SentFacts]) -> list[OutsideOutcome]:
    """Ask for the outcomes of one step for some runs: a model at once for all, others one after another."""
    if isinstance(step, ModelStep):
        from fivefold.usecases.flows.models.ask import answers_of_model  # noqa: PLC0415 (imports MLflow)

        begun = time.monotonic()
        outcomes = answers_of_model(outside.models, step, facts, outside.clock)
        return [_timed(each, begun, len(facts)) for each in outcomes]
    return [ask(outside, step, each) for each in facts]


def ask(outside: OutsideAccess, step: OutsideStep, facts: SentFacts) -> OutsideOutcome:
    """Ask the outside for the outcome of a step.

    Whatever the outside does, there is an outcome: a failure, with the reason, if nothing usable came.

    Args:
        outside: what the organisation may ask.
        step: the step that asks.
        facts: the facts that it sends, from `flows.outside.question.sent_facts`.
    """
    if isinstance(step, ModelStep):
        return ask_together(outside, step, [facts])[0]
    begun = time.monotonic()
    if isinstance(step, DataStep):
        return _timed(_of_source(outside, step, facts), begun)
    assert isinstance(step, AgentStep)
    return _timed(answer_of_agent(outside.agent, step.agent, facts, outside.clock, outside.wait), begun)


def _timed(outcome: OutsideOutcome, begun: float, together: int = 1) -> OutsideOutcome:
    """Return an outcome with the time since *begun*, of the monotonic clock; unchanged if nothing was asked."""
    if outcome.cost is None:
        return outcome
    milliseconds = round((time.monotonic() - begun) * 1_000)
    return replace(outcome, cost=replace(outcome.cost, milliseconds=milliseconds, together=together))


def _of_source(outside: OutsideAccess, step: DataStep, facts: SentFacts) -> OutsideOutcome:
    question, now_us = step.data, outside.clock()
    source = outside.sources.get(question.source)
    label = question.source if source is None else f"{question.source} ({source.host})"
    problem = next(problems_of_step(step, outside.sources), None)
    if source is None:
        return failed_outcome(str(problem), label, now_us)
    if problem is not None:
        outcome = failed_outcome(problem, label, now_us)
    elif facts.unknown:
        outcome = failed_outcome(f"not asked, as {', '.join(facts.unknown)} is unknown", label, now_us)
    else:
        outcome = _answered(outside, source, step, facts, label)
    return replace(outcome, registration=source.digest)


def _answered(
    outside: OutsideAccess, source: DataSource, step: DataStep, facts: SentFacts, label: str
) -> OutsideOutcome:
    question, now_us = step.data, outside.clock()
    key = (outside.organisation, question.source, repr(source), facts.text)
    age = question.no_older_than
    answer = None if age is None else outside.recent_answers.get(key, age.moment_before(now_us), now_us)
    tries = 0
    if answer is None:
        try:
            answer, tries = _ask_source(outside, source, facts)
        except NotAnsweredError as error:
            failed = failed_outcome(_without_secret(str(error), outside, source), label, outside.clock())
            return replace(failed, cost=Cost(tries=error.tries) if error.tries else None)
        outside.recent_answers.put(key, answer)
    values = {name: _exact(answer.values[name]) for name in question.gives if answer.values.get(name) is not None}
    cost = Cost(tries=tries)
    outcome = OutsideOutcome(values=values, source=label, at_us=answer.at_us, digest=answer.digest, cost=cost)
    return fitted_to(outcome, outside_outputs(step))


def _exact(value: Any) -> Any:
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _ask_source(outside: OutsideAccess, source: DataSource, facts: SentFacts) -> tuple[SourceAnswer, int]:
    """Ask a source, and again if it may answer a moment later; NotAnsweredError if it does not.

    Returns:
        The answer, and how often the source was asked.
    """
    question = _question(outside, source, facts)
    if not source.may_repeat:
        outside.note_asking()
    body, tries = answer_after_tries(question, source.most_tries, outside.wait)
    try:
        require_without(body, _secret(outside, source))
        content = read_json(body)
        require_fit(content, source.validator)
        values = {name: at_pointer(content, pointer) for name, pointer in source.gives.items()}
    except NotAnsweredError as error:
        error.tries = tries
        raise
    return SourceAnswer(values, outside.clock(), hashlib.sha256(body).hexdigest()), tries


def _question(outside: OutsideAccess, source: DataSource, facts: SentFacts) -> OutgoingRequest:
    try:
        url = source.address({name: _text(value) for name, value in facts.values.items()})
    except ValueError as error:
        raise NotAnsweredError(f"not asked: {error}") from None
    headers = {}
    if source.secret is not None:
        headers[source.secret.header] = source.secret.form.replace("{secret}", _secret(outside, source))
    body = None
    if source.method == "POST":
        headers["Content-Type"], body = "application/json", facts.text.encode()
    return OutgoingRequest(
        method=source.method,
        url=url,
        headers=headers,
        content=body,
        private_allowed=source.private,
        limit_seconds=source.seconds,
        most_bytes=source.most_bytes,
    )


def _text(value: SentValue) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return f"{value:f}"
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _secret(outside: OutsideAccess, source: DataSource) -> str:
    return "" if source.secret is None else outside.secrets[source.secret.name]


def _without_secret(words: str, outside: OutsideAccess, source: DataSource) -> str:
    secret = _secret(outside, source)
    return words.replace(secret, "…") if secret else words
