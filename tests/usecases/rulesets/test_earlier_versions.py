"""What an earlier release stored goes on as it did, also where a draft of today would be refused for it."""

import pytest
from sqlalchemy import Engine

from fivefold.domain.errors import InvalidRulesetError
from fivefold.risk.compiler import analysis
from fivefold.store.tables.levels import Standing
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.accounts.settings import choose_levels
from fivefold.usecases.changes.asks import put_list_version
from fivefold.usecases.changes.backtests import BACKTESTS, request_backtest
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.levels.worker import run_batch
from fivefold.usecases.rulesets.activate import activate, advance_backfills
from fivefold.usecases.rulesets.commit import commit
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow
from fivefold.usecases.shared.jobs import run_next_job
from tests.usecases.governed import DAY, LEVELS, NOW, SECOND, document, organisation, people, rows_of

JOB = """  - id: job
    title: Job
    category: customer features
    rationale: What they do.
    input: {field: job}
    cases:
      - {when: WHEN, points: 39}
examples:
  - {name: cook, given: {country: NO, income: 5, job: cook}, expect: {level: medium, total: 39}}
"""


def with_job(when: str) -> str:
    declared = document().replace("  income: number\n", "  income: number\n  job: text\n")
    return declared.replace("examples:\n", JOB.replace("WHEN", when))


def decide(engine: Engine, editor: Actor, other: Actor, text: str, now_us: int, base: int = 0) -> None:
    """Bring a text into force, by two people, and assess everybody."""
    revision = save_draft(Context(engine, editor).at(now_us), text, base).revision
    version = commit(Context(engine, editor).at(now_us), "retail", revision, "as it is")
    request_backtest(Context(engine, editor).at(now_us), "retail", version.number)
    assert run_next_job(engine, BACKTESTS, now_us)
    activate(Context(engine, other).at(now_us), "retail", version.number, "as agreed", 1000)
    work(engine, now_us + SECOND)


def work(engine: Engine, now_us: int) -> None:
    advance_backfills(engine, now_us)
    while run_batch(engine, clock=lambda: now_us) is not None:
        pass


def standings(engine: Engine) -> list[tuple[int, str]]:
    return [(row["level"], row["status"]) for row in rows_of(engine, Standing)]


@pytest.mark.parametrize("when", ['{not_equals: ""}', '{in: ["", cook]}'])
def test_a_version_that_compares_with_empty_text_goes_on_and_is_corrected(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    ana, _, cyd = people(organisation(engine))
    choose_levels(Context(engine, ana), LEVELS)
    define_type(Context(engine, ana).at(NOW), "customer", {"country": "country", "income": "number", "job": "text"})
    put_list_version(Context(engine, ana).at(NOW), "watched", 0, ["IR"], "Watched", "our own")
    put_entities(Context(engine, ana).at(NOW), "customer", [EntityRow("c", {"country": "NO", "income": 5.0})])
    with monkeypatch.context() as earlier_release:
        earlier_release.setattr(analysis, "missing_text_diagnostics", lambda *_: ())
        decide(engine, ana, cyd, with_job(when), NOW)
    assert standings(engine) == [(1, "assessed")]
    put_entities(Context(engine, ana).at(NOW + DAY), "customer", [EntityRow("c", {"job": "cook"})])
    work(engine, NOW + DAY + SECOND)
    assert standings(engine) == [(2, "assessed")]

    later = NOW + 2 * DAY
    revision = save_draft(Context(engine, ana).at(later), with_job(when).replace("points: 39", "points: 38")).revision
    with pytest.raises(InvalidRulesetError, match="compares with '', which counts as missing"):
        commit(Context(engine, ana).at(later), "retail", revision, "as it is")
    corrected = with_job("{equals: cook}").replace("points: 39", "points: 71")
    corrected = corrected.replace("medium, total: 39", "high, total: 71")
    decide(engine, ana, cyd, corrected, later, revision)
    assert standings(engine) == [(3, "assessed")]
