"""Forms beside the text of a ruleset or a flow: what is typed into them stays until it is written into the text."""

import re

import pytest

from fivefold.usecases.portfolio_files.bundled import bundled_text
from fivefold.usecases.rulesets.text_forms import outline_of
from tests.console.visitors import Visitor, send_text
from tests.serving.v1.places import Place
from tests.serving.v1.rulesets.bank_rulesets import document
from tests.usecases.flows.documents import flow_document

EDIT = "/console/rulesets/retail/edit"
NOT_WRITTEN = "A form has input that is not in the text yet."
RULE = {"rule_rationale": "A board's why.", "rule_id": "new", "rule_value": "KP"}


@pytest.fixture
def author(place: Place) -> Visitor:
    """A publisher of the bank in the editor of a ruleset."""
    return Visitor(place).sign_in("publisher").go(EDIT)


def value(visitor: Visitor, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', visitor.page.text)
    assert found is not None
    return found[1].replace("&#39;", "'")


@pytest.mark.parametrize("action", ["check", "mutate", "save"])
def test_what_was_typed_into_a_form_stays_after_any_action(author: Visitor, action: str) -> None:
    send_text(author, "save", document("retail"))
    send_text(author, action, document("retail"), **RULE, thresholds="7, 8, 9", accept_warnings="known")
    assert author.page.status_code == 200
    assert {name: value(author, name) for name in RULE} == RULE
    assert (value(author, "thresholds"), value(author, "accept_warnings")) == ("7, 8, 9", "known")
    assert NOT_WRITTEN in author.text
    assert len(re.findall(r"<details open><summary>Write (?:a rule|other)", author.page.text)) == 2


def test_a_draft_is_saved_beside_a_form_that_is_open_and_saved_again(place: Place, author: Visitor) -> None:
    send_text(author, "save", document("retail", remark="mine"), **RULE)
    assert "The draft is saved." in author.text
    (saved,) = [each for each in place.good("GET", "/v1/rulesets", role="publisher") if each["name"] == "retail"]
    assert value(author, "revision") == str(saved["draft_revision"])
    send_text(author, "save", document("retail", remark="mine, again"), rule_rationale="", rule_id="", rule_value="")
    assert ("The draft is saved." in author.text, NOT_WRITTEN in author.text) == (True, False)
    assert author.page.url.path == EDIT


@pytest.mark.parametrize("kind", ["ruleset", "flow"])
def test_a_page_that_is_reloaded_after_a_save_is_saved_and_no_conflict(author: Visitor, kind: str) -> None:
    name = "brand-new"
    text = document(name) if kind == "ruleset" else flow_document(name)
    for _ in range(2):
        send_text(author.go(f"/console/new-{kind}"), "save", text, accept_warnings="known")
        assert (author.page.status_code, "The draft is saved." in author.text) == (200, True)
    for _ in range(2):
        send_text(author, "save", text, revision="0", accept_warnings="known")
        assert (author.page.status_code, "The draft is saved." in author.text) == (200, True)


def test_a_version_is_not_committed_beside_a_form_that_is_open(author: Visitor) -> None:
    send_text(author, "save", document("retail"))
    send_text(author, "commit", document("retail"), rule_floor="high", accept_warnings="known")
    assert "a form has input that is not in the text; write it there, or empty the form" in author.text
    send_text(author, "commit", document("retail"), rule_floor="", accept_warnings="known")
    assert "The version is committed." in author.text


def test_a_form_that_says_what_the_text_says_follows_the_text(author: Visitor) -> None:
    text = bundled_text("fatf-retail").replace("ruleset: fatf-retail", "ruleset: retail")
    send_text(author, "check", text)
    assert NOT_WRITTEN not in author.text
    before = value(author, "thresholds")
    first = before.split(",")[0]
    changed = re.sub(rf"(thresholds: \[){first}", rf"\g<1>{int(first) + 1}", text)
    assert changed != text
    send_text(author, "check", changed)
    assert value(author, "thresholds") == before.replace(first, str(int(first) + 1), 1)
    send_text(author, "check", changed, thresholds=before)
    assert (value(author, "thresholds"), NOT_WRITTEN in author.text) == (before, True)


def test_a_level_that_is_chosen_alone_for_a_further_tier_is_not_dropped(author: Visitor) -> None:
    text = bundled_text("session-verification").replace("ruleset: session-verification", "ruleset: retail")
    send_text(author, "check", text)
    assert NOT_WRITTEN not in author.text
    spare = re.findall(r'name="(tier_\d+_level)"', author.page.text)[-1]
    begins_with = author.page.text.partition(f'name="{spare}">')[2].partition("</option>")[0]
    assert begins_with == '<option value="">no further tier'
    levels = {f"tier_{number}_level": tier.level for number, tier in enumerate(outline_of(text).tiers)}
    send_text(author, "check", text, **levels, **{spare: ""})
    assert NOT_WRITTEN not in author.text
    send_text(author, "check", text, **levels, **{spare: "high"})
    assert NOT_WRITTEN in author.text
    send_text(author, "write", text, write="tiers", **levels, **{spare: "high"})
    assert (author.page.status_code, "a tier needs a title and a level: no title, high" in author.text) == (422, True)


def test_a_reason_to_commit_stays_when_the_draft_is_saved(author: Visitor) -> None:
    send_text(author, "save", document("retail"))
    send_text(author, "save", document("retail", remark="mine"), accept_warnings="The doubts are known.")
    assert ("The draft is saved." in author.text, NOT_WRITTEN in author.text) == (True, False)
    assert value(author, "accept_warnings") == "The doubts are known."
    send_text(author, "commit", document("retail", remark="mine"))
    assert "The version is committed." in author.text


def test_a_flows_reason_to_commit_stays_when_the_draft_is_saved(author: Visitor) -> None:
    send_text(author.go("/console/new-flow"), "save", flow_document("mine"))
    send_text(author, "save", flow_document("mine", title="Two"), accept_warnings="known")
    assert ("The draft is saved." in author.text, NOT_WRITTEN in author.text) == (True, False)
    assert value(author, "accept_warnings") == "known"


def test_a_new_ruleset_is_saved_beside_a_form_that_is_open(author: Visitor) -> None:
    send_text(author.go("/console/new-ruleset"), "save", document("brand-new"), **RULE)
    assert ("The draft is saved." in author.text, NOT_WRITTEN in author.text) == (True, True)
    assert 'action="/console/rulesets/brand-new/edit/check"' in author.page.text
    assert value(author, "rule_rationale") == RULE["rule_rationale"]


def test_a_flow_is_saved_beside_a_form_that_is_open(author: Visitor) -> None:
    send_text(author.go("/console/new-flow"), "save", flow_document("mine"))
    assert author.page.url.path == "/console/flows/mine/edit"
    send_text(author, "write", flow_document("mine"), write="begin:actions", new_kind_actions="tag")
    send_text(author, "save", flow_document("mine"), **{"field-tag": "watched"})
    assert ("The draft is saved." in author.text, NOT_WRITTEN in author.text) == (True, True)
    assert value(author, "form_part") == "actions"
    assert "watched" in author.page.text
