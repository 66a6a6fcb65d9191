"""What is stored of an assessment gives its breakdown again, to the byte; and what is compared is what it says."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US
from fivefold.risk.engine.assessments import STATUS, VERSIONS, Assessments
from fivefold.risk.engine.explain.breakdown import as_json_text, explain, explain_all
from fivefold.risk.engine.explain.stored import WORDS, StoredOutcome, contents, explain_stored, outcome_texts, words_of
from fivefold.risk.facts.portfolio import AS_OF, ENTITY
from tests.depth import examples
from tests.golden import compare
from tests.risk.engine.drawn.rulesets import rulesets
from tests.risk.engine.drawn.worlds import people_drawn, run, worlds
from tests.risk.engine.reference.conditions import World
from tests.risk.engine.small import assessed, case, rule, ruleset

Data = dict[str, Any]
QUICK = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
"""All but to explain: that takes minutes for rulesets."""


def stored(found: Assessments) -> list[StoredOutcome]:
    """What a database would keep of them: texts and numbers that went through JSON."""
    facts = found.outcomes.select(ENTITY, AS_OF, STATUS, VERSIONS).iter_rows()
    inputs = found.inputs.drop(ENTITY, AS_OF)
    values = [json.loads(msgspec.json.encode(row)) for row in inputs.iter_rows()] or [[] for _ in range(len(found))]
    return [
        StoredOutcome(
            entity=entity,
            as_of=as_of,
            status=status,
            codes=codes,
            inputs=dict(zip(inputs.columns, row, strict=True)),
            lists={name: one.since for name, one in found.versions[version].items()},
            base=found.base,
        )
        for (entity, as_of, status, version), codes, row in zip(facts, outcome_texts(found), values, strict=True)
    ]


@settings(max_examples=examples(60), phases=QUICK)
@given(rulesets(), worlds(), people_drawn)
def test_a_breakdown_is_written_again_to_the_byte(ruleset: Data, world: World, people: list[Data]) -> None:
    found = run(ruleset, world, people)
    written = [as_json_text(one) for one in explain_all(found)]
    assert [as_json_text(explain_stored(found.program.analysed, one)) for one in stored(found)] == written


@settings(max_examples=examples(60), phases=QUICK)
@given(rulesets(), worlds(), people_drawn, st.sampled_from([0, 1, 1_000_000, 3_600_000_000, DAY_US]))
def test_what_is_compared_is_equal_just_where_breakdowns_are(
    ruleset: Data, world: World, people: list[Data], later_us: int
) -> None:
    """Nothing that a breakdown says is lost, and what it does not say, such as part of a second, is no difference."""
    found, later = (
        run(ruleset, world, people),
        [{**one, "as_of": one["as_of"] + timedelta(microseconds=later_us)} for one in people],
    )
    after = run(ruleset, world, later)
    said, said_after = (
        [as_json_text(replace(one, entity="", as_of=0)) for one in explain_all(each)] for each in (found, after)
    )
    for place, (before, now) in enumerate(zip(contents(found), contents(after), strict=True)):
        assert (before == now) == (said[place] == said_after[place]), (said[place], said_after[place])
    by_content: dict[bytes, set[str]] = {}
    for content, text in zip(contents(found), said, strict=True):
        by_content.setdefault(content, set()).add(text)
    assert all(len(texts) == 1 for texts in by_content.values())


def test_what_is_compared_of_one_does_not_depend_on_another() -> None:
    """Of another one something cannot be read, which fails that one alone."""
    rules = ruleset(rule("one", case({"field": "n1", "at_least": 1}, 5)))
    alone, together = (assessed(rules, {"n1": 2.0}, *others) for others in ((), ({"n1": "ten"},)))
    assert together.outcomes[STATUS].to_list() == ["assessed", "failed"]
    assert contents(alone) == contents(together)[:1]


def test_the_words_of_a_number_do_not_change() -> None:
    """Where this fails, people would read another text than before: make `WORDS` the next number, with a file of it."""
    compare(f"breakdowns_{WORDS}", _text_of)


def _text_of(given: Any) -> str:
    rules, entity, parts = given
    return as_json_text(explain(assessed(ruleset(*rules, **parts), entity), 0))


def test_an_outcome_names_its_words() -> None:
    found = assessed(ruleset(rule("one", case({"field": "flag", "equals": True}, 5))), {"flag": True})
    assert words_of(outcome_texts(found)[0]) == WORDS
