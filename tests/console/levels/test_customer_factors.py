"""The factors on a customer's page: their values with sources, and what changed since the assessment before."""

import re

import pytest

from fivefold.usecases.levels import explain
from fivefold.usecases.levels.explain import ValueSeen
from tests.console.customers import CUSTOMER, ENTITY, assess_now
from tests.console.visitors import Visitor
from tests.serving.v1.places import Place
from tests.serving.v1.rulesets.bank_rulesets import document


def test_the_formula_of_a_calculation_stands_under_its_value(
    place: Place, investigator: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assess_now(place)
    formula = "cash out 12,000.00 EUR ÷ income 40,000.00 EUR = 0.3 (as of 2026-11-30T19:03:48.295985Z)"
    seen = ValueSeen("cash share", "0.3", formula)
    monkeypatch.setattr(explain, "visible_value", lambda *_: seen)
    text = investigator.go(CUSTOMER).text
    assert f"{seen.name}: {seen.value}" in text
    assert "= 0.3 (as of 2026-11-30 19:03 UTC)" in text


def test_what_changed_since_the_assessment_before_is_that_of_v1(place: Place, investigator: Visitor) -> None:
    assess_now(place)
    place.good("PUT", ENTITY, {"attributes": {"country": "DE"}}, role="app")
    later = assess_now(place)["assessment"]
    difference = place.good("GET", f"/v1/assessments/{later}/difference", role="investigator")
    for address, rank in ((CUSTOMER, 3), (f"/console/assessments/{later}", 2)):
        text = investigator.go(address).text
        assert f"<h{rank}>What changed since" in investigator.page.text, "headings leave no rank out"
        assert "What changed since the assessment before" in text
        for factor in difference["factors"]:
            assert factor["title"] in text
    first = f"/console/assessments/{str(later).partition('.')[0]}.1"
    assert "What changed" not in investigator.go(first).text


def activated(place: Place, text: str) -> int:
    """Let another version of the ruleset decide; give its number."""
    writer = place.join("writer", "publisher")[0]
    revision = place.good("PUT", "/v1/rulesets/retail/draft", {"document": text}, token=writer)["revision"]
    accepted = {"revision": revision, "accept_warnings": "looked at"}
    number: int = place.good("POST", "/v1/rulesets/retail/commit", accepted, token=writer)["number"]
    place.good("POST", "/v1/rulesets/retail/backtests", {"version": number}, role="publisher")
    place.run_backtests()
    body = {"version": number, "reason": "agreed"}
    place.good("POST", "/v1/rulesets/retail/activate", body, role="publisher")
    return number


def test_another_version_that_decides_is_named_where_no_factor_gave_anything_else(
    place: Place, investigator: Visitor
) -> None:
    assess_now(place)
    changed = {"score": {"points": {"thresholds": [314.15, 330]}}}
    expected = [{"name": "a neighbour", "given": {"country": "NO"}, "expect": {"level": "high"}}]
    number = activated(place, document("retail", "stricter", **changed, examples=expected))
    later = assess_now(place)
    decides = f"retail version {number} decides now, version 1 did before."
    said = f"no factor gave other points; unchanged factors: 1. {decides}"
    for address in (CUSTOMER, f"/console/assessments/{later['assessment']}"):
        text = investigator.go(address).text
        assert "Medium → High :" in text
        assert f"{said} The same points now give another level." in text
        assert not [secret for secret in ("314", "330", "772") if secret in text]


def test_a_factor_that_saw_other_values_alone_gave_nothing_else(place: Place, investigator: Visitor) -> None:
    assess_now(place)
    place.good("PUT", ENTITY, {"attributes": {"country": "SE"}}, role="app")
    later = assess_now(place)["assessment"]
    difference = place.good("GET", f"/v1/assessments/{later}/difference", role="investigator")
    assert [(one["change"], one["points"]) for one in difference["factors"]] == [("changed", "0")]
    text = investigator.go(f"/console/assessments/{later}").text
    assert (
        "no factor gave other points; factors with other values and the same points: 1; unchanged factors: 0." in text
    )
    assert "decides now" not in text


def factor_table(visitor: Visitor) -> str:
    """The table of factors, as it is to be read."""
    (table,) = re.findall(r"(?s)<caption>What counted</caption>.*?</table>", visitor.page.text)
    return " ".join(re.sub(r"<[^>]+>", " ", table).split())


def test_each_factor_has_its_category_and_each_value_its_source_as_it_was_then(
    place: Place, investigator: Visitor
) -> None:
    entity = ENTITY
    writer = place.join("Ann <b>Writer</b>", "admin")[0]
    place.good("PUT", entity, {"attributes": {"country": "KP"}}, token=writer)
    number = assess_now(place)["assessment"]
    pages = (CUSTOMER, f"/console/assessments/{number}")
    for page in pages:
        table = factor_table(investigator.go(page))
        assert "Factor What was seen Source and age then Case Points At least Category" in table
        assert "Country of residence why there is this rule Where they live. country: KP" in table
        assert "A country without relations +500 High Geography" in table
        assert re.search(r"attribute, set on \d+ \w+ \d{4} by Ann &lt;b&gt;Writer&lt;/b&gt; \(", table)
        assert "<b>Writer" not in investigator.page.text
    before = factor_table(investigator.go(pages[1]))
    place.good("PUT", entity, {"attributes": {"country": "DE"}}, role="app")
    place.good("PUT", entity, {"attributes": {"country": "KP"}}, role="app")
    assert factor_table(investigator.go(pages[1])) == before, "what was set since says nothing of that assessment"


def test_values_of_every_kind_have_their_sources_and_stored_words_are_no_markup(
    place: Place, investigator: Visitor
) -> None:
    entity, word = ENTITY, "<i>hit</i>"
    cases = {
        "tagged": {"tag": "kept", "is": "present"},
        "hit": {"screening": word, "is": "present"},
        "paid": {"count": "transactions", "at_least": 1},
        "untagged": {"not": {"tag": "absent", "is": "present"}},
        "both": {"all": [{"field": "country", "equals": "NO"}, {"count": "alerts", "at_least": 0}]},
    }
    rules = [
        {
            "id": name,
            "title": name.title(),
            "category": "other",
            "rationale": "x",
            "cases": [{"when": when, "points": 1}],
        }
        for name, when in cases.items()
    ]
    place.good("POST", f"{entity}/screenings", {"screening": word, "found": True, "at": "2020-01-02"}, role="app")
    example = {"name": "anybody", "given": {"country": "NO"}, "expect": {"total": 2}}
    activated(place, document("retail", "all kinds", rules=rules, examples=[example]))
    number = assess_now(place)["assessment"]
    table = factor_table(investigator.go(f"/console/assessments/{number}"))
    assert "<i>hit" not in investigator.page.text
    said = (
        r"screening for &lt;i&gt;hit&lt;/i&gt;: present screened on 2 January 2020 \(\d+ days before\)",
        r"tag kept: present tag, set on \d+ \w+ \d{4} by \S+ \(",
        r"transactions: 1 transactions up to [-\d:]+ [\d:]+ UTC ; the latest \d+ \w+ before",
        r"tag absent: absent not set then",
        r"country: NO attribute, set on .* alerts: \d+ alerts up to",
    )
    assert [each for each in said if not re.search(each, table)] == []
