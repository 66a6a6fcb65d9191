"""The client against a running service, on both databases: its page as it is written, errors, pages, and one key."""

import re
from pathlib import Path

import pytest
from sqlalchemy import text

from fivefold.client import (
    Client,
    ConflictError,
    ForbiddenError,
    NoAnswerError,
    NotFoundError,
    Problem,
    RefusedDataError,
    UnauthorizedError,
)
from fivefold.serving.v1.examples import POLICY
from tests.serving.processes.service import Service, free_port, sample_rows
from tests.serving.processes.test_platform import RETAIL, WHY, Bank
from tests.serving.v1.rulesets.bank_rulesets import document
from tests.usecases import platforms
from tests.usecases.flows.documents import BY_COUNTRY, INQUIRED, INQUIRY, flow_document

PAGE = Path(__file__).parents[3] / "docs" / "client.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def bank_with_levels(service: Service, name: str) -> Bank:
    """An organisation with a ruleset and a policy that decide."""
    bank = Bank(service, name)
    bank.good("ada", "PUT", "/v1/settings/levels", {"levels": ["low", "medium", "high"]})
    with service.engine.begin() as connection:  # as two people had set it: the examples of this ruleset reach few cases
        connection.execute(text("UPDATE organisation_settings SET minimum_coverage_percent = 0"))
    fields = {"country": "country", "occupation": "text", "income": "number", "opened_on": "date", "pep": "flag"}
    kinds = {"fields": fields, "transaction_fields": {"operation": "text"}}
    bank.good("ada", "PUT", "/v1/entity-types/customer", kinds)
    bank.good("max", "PUT", f"{RETAIL}/draft", {"document": document()})
    bank.good("max", "POST", f"{RETAIL}/commit", {"revision": 1, "accept_warnings": "a test"})
    bank.good("max", "POST", f"{RETAIL}/backtests", {"version": 1})
    bank.work()
    bank.good("eve", "POST", f"{RETAIL}/activate", {"version": 1, **WHY})
    proposed = {"document": POLICY, **WHY, "accept_warnings": "a test"}
    bank.good("max", "POST", "/v1/policies", proposed)
    bank.good("eve", "POST", "/v1/policies/payments/versions/1/approve", WHY)
    return bank


@pytest.mark.full
def test_the_page_does_what_it_says(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    bank = bank_with_levels(service, f"clients of {service.port}")
    setup, *stories = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert "Client(" in setup
    people = {"scoring": "app", "entities.put": "app", "transitions": "ivo"}
    names: dict[str, object] = {}
    for story in stories:
        who = next((person for word, person in people.items() if word in story), "app")
        with Client(service.url, bank.tokens[who]) as client:
            exec(story, names | {"client": client}, names)
    said = capsys.readouterr().out
    assert re.search(r"^customer-17 [1-5]\S* (low|medium|high|top)$", said, re.MULTILINE)
    assert re.search(r"^0 transaction_amount .*much", said, re.MULTILINE)
    assert "2 new, 0 known before, 0 refused" in said
    assert re.search(r"^medium 20", said, re.MULTILINE)
    assert re.search(r"^customer-17 None → medium", said, re.MULTILINE)
    assert "Country of residence A neighbour" in said
    assert "no more" in said
    with Client(service.url, bank.tokens["max"]) as client:
        (ruleset,) = client.rulesets.list("customer")
        (version,) = client.rulesets.versions(ruleset.name)
        assert version.active
        assert client.rulesets.version("retail", version.number).document == document()
        (line,) = client.decisions.of("customer", "customer-17")
        decision = client.decisions.get(line.decision)
        assert decision.reasons is not None
        assert decision.answer is not None


def test_facts_are_sent_read_and_refused(service: Service) -> None:
    bank = Bank(service, f"facts of {service.port}")
    bank.good("ada", "PUT", "/v1/settings/levels", {"levels": ["low", "medium", "high"]})
    bank.good("ada", "PUT", "/v1/entity-types/customer", {"fields": {"country": "country"}})
    with Client(service.url, bank.tokens["app"]) as app, Client(service.url, bank.tokens["ivo"]) as ivo:
        assert app.entities.put("customer", "a/b ä", {"country": "NO"}, key="once").new == 1
        assert app.entities.put("customer", "a/b ä", {"country": "NO"}, key="once").new == 1  # the answer of then
        some = app.entities.put_many(
            "customer",
            [
                {"external_id": "...", "attributes": {"country": "SE"}},
                {"external_id": "x", "attributes": {"country": 7}},
            ],
        )
        assert (some.new, some.refused, some.errors[0].row, some.errors[0].field) == (1, 1, 1, "country")
        with pytest.raises(RefusedDataError) as error:
            app.entities.put_many("customer", [{"external_id": "x", "attributes": {"country": 7}}], atomic=True)
        assert error.value.problems[0].row == 0
        rows = [
            {**sample_rows("a/b ä")[0], "transaction_id": f"t{number}", "transaction_date": f"2024-06-0{number}"}
            for number in range(1, 6)
        ]
        assert app.entities.add_transactions(rows).new == 5
        assert app.entities.add_transactions(rows).repeated == 5
        pages = ivo.entities.transactions("customer", "a/b ä", limit=2)
        assert ([len(pages.page()) for _ in range(3)], pages.more) == ([2, 2, 1], False)
        assert {one.transaction_id for one in ivo.entities.transactions("customer", "a/b ä", limit=2)} == {
            f"t{number}" for number in range(1, 6)
        }
        assert [each.external_id for each in ivo.entities.list("customer", limit=1)] == ["a/b ä", "..."]
        assert ivo.entities.get("customer", "...").attributes == {"country": "SE"}
        assert [each.external_id for each in ivo.entities.search("customer", "a/b")] == ["a/b ä"]
        assert app.entities.set_tag("customer", "...", "vip", until="2099-01-01") is None
        assert [tag.tag for tag in ivo.entities.tags("customer", "...")] == ["vip"]
        assert app.entities.end_tag("customer", "...", "vip") is None
        assert app.entities.add_screening("customer", "...", "sanctions", found=False) is None
        assert app.entities.put_case("customer", "...", "1", opened_at="2026-01-05") is None
        assert list(ivo.queue.list(kind=["override"])) == []
        assert {count.overdue for count in ivo.queue.counts()} <= {0}
        segments = ivo.values.segments("customer")
        assert (segments.type, sum(each.entities for each in segments.segments)) == ("customer", segments.entities)
        assert {each.external_id for each in ivo.values.list("customer")} <= {"a/b ä", "..."}
        ivo.values.get("customer", "...")
        assert list(ivo.levels.current("customer", level=["high"], since="2020-01-01")) == []


def bank_with_a_flow(service: Service, name: str) -> Bank:
    """An organisation with a flow that has nobody from Norway looked at, and a shadow that is the other way round."""
    bank = Bank(service, name)
    bank.good("ada", "PUT", "/v1/settings/levels", {"levels": platforms.LEVELS})
    kinds = {"fields": {"country": "country"}, "transaction_fields": platforms.TRANSACTION_FIELDS}
    bank.good("ada", "PUT", "/v1/entity-types/customer", kinds)
    for customer, country in (("iris", "IR"), ("nora", "NO")):
        bank.good("app", "PUT", f"/v1/entities/customer/{customer}", {"attributes": {"country": country}})
    route = [{"when": {"field": "country", "equals": "IR"}, "to": "nothing"}]
    examples = [
        {"name": "watched", "given": {"country": "IR"}, "ends": "nothing", "actions": []},
        {"name": "home", "given": {"country": "NO"}, "ends": "done", "actions": ["look"]},
        {"name": "nobody knows where", "given": {}, "ends": "done"},
    ]
    other = flow_document("care", [{**BY_COUNTRY, "route": route, "otherwise": "done"}], examples=examples)
    for number, text_, act in ((1, flow_document("care"), "activate"), (2, other, "shadow")):
        revision = bank.good("max", "PUT", "/v1/flows/care/draft", {"document": text_})["revision"]
        bank.good("max", "POST", "/v1/flows/care/commit", {"revision": revision, "accept_warnings": "a test"})
        bank.good("eve", "POST", f"/v1/flows/care/{act}", {"version": number, **WHY})
    return bank


def test_a_question_of_a_run_is_answered_by_when_it_was_asked(on_sqlite: Service) -> None:
    bank = bank_with_a_flow(on_sqlite, "questions of clients")
    step = {**INQUIRY, "person": {**INQUIRY["person"], "role": "publisher"}}
    bank.good("max", "POST", "/v1/flows", {"document": flow_document("inquiry", [step], examples=INQUIRED)})
    bank.good("max", "POST", "/v1/flows/inquiry/commit", {"revision": 1, "accept_warnings": "a test"})
    bank.good("eve", "POST", "/v1/flows/inquiry/activate", {"version": 1, **WHY})
    with Client(on_sqlite.url, bank.tokens["app"]) as app:
        run = app.flows.run("inquiry", "nora").run
    with Client(on_sqlite.url, bank.tokens["eve"]) as eve:
        question = eve.flows.get_run(run).question
        assert question is not None
        assert question.asked_at is not None
        with pytest.raises(ConflictError, match="is another one now"):
            eve.flows.answer(run, "aye", "looked at", asked_at="2001-01-01")
        assert eve.flows.answer(run, "aye", "looked at", asked_at=question.asked_at).state == "ended"


def test_a_flow_is_tried_compared_with_its_shadow_and_replayed(on_sqlite: Service) -> None:
    bank = bank_with_a_flow(on_sqlite, "flows of clients")
    with Client(on_sqlite.url, bank.tokens["app"]) as app:
        assert app.flows.run("care", "nora", run_key="k").at == "nothing"
    with Client(on_sqlite.url, bank.tokens["eve"]) as eve:
        tried = eve.flows.try_one("care", "nora", version=2)
        assert (tried.version, tried.external_id, tried.not_asked) == (2, "nora", None)
        drafted = eve.flows.try_one("care", "nora", document=flow_document("care"), answers={}, outcomes={})
        assert drafted.version is None
        assert drafted.why != tried.why
        asked = eve.flows.request_replay("care", version=2, base_version=1)
        assert (asked.state, asked.version, asked.base_version) == ("queued", 2, 1)
        alone = eve.flows.request_replay("care", version=1, alone=True)
        assert (alone.base_version, alone.state) == (None, "queued")
        assert eve.flows.cancel_replay(alone.id, "it takes too long").state == "cancelled"
        bank.work()
        pairs = eve.flows.shadow_pairs("care", acting_at="nothing", shadow_at="done", limit=1)
        assert [(pair.external_id, pair.acting_at, pair.shadow_at) for pair in pairs] == [("nora", "nothing", "done")]
        assert list(eve.flows.shadow_pairs("care", acting_at="done")) == []
        done = eve.flows.get_replay(asked.id)
        assert (done.state, done.done, done.error) == ("done", done.total, None)
        people = eve.flows.replay_people(asked.id, before_at="nothing", stopped_at="done", limit=1)
        assert [(person.external_id, person.before_at, person.stopped_at) for person in people] == [
            ("nora", "nothing", "done")
        ]
        assert [each.external_id for each in eve.flows.replay_people(asked.id, stopped_at="nothing")] == ["iris"]
        assert {each.id: each.state for each in eve.flows.replays("care")} == {asked.id: "done", alone.id: "cancelled"}


def test_who_may_not_is_told_so(on_sqlite: Service) -> None:
    bank = Bank(on_sqlite, "walls of clients")
    bank.good("ada", "PUT", "/v1/settings/levels", {"levels": ["low", "medium", "high"]})
    bank.good("ada", "PUT", "/v1/entity-types/customer", {"fields": {"country": "country"}})
    with Client(on_sqlite.url, bank.tokens["app"]) as app:
        with pytest.raises(NotFoundError) as missing:
            app.levels.get("customer", "nobody")
        assert missing.value.request_id
        with pytest.raises(ForbiddenError):
            app.rulesets.list().page()
        with pytest.raises(RefusedDataError) as error:
            app.entities.put("customer", "c", {"shoe": 44})
        assert [type(problem) for problem in error.value.problems] == [Problem]
    with Client(on_sqlite.url, "nobody's") as stranger, pytest.raises(UnauthorizedError):
        stranger.scoring.score(sample_rows())
    with Client(f"http://127.0.0.1:{free_port()}", "any", attempts=1) as nowhere:
        with pytest.raises(NoAnswerError) as gone:
            nowhere.scoring.score(sample_rows())
        assert not gone.value.may_be_done


def test_what_the_model_reads_is_described(on_sqlite: Service) -> None:
    bank = Bank(on_sqlite, "described to clients")
    with Client(on_sqlite.url, bank.tokens["app"]) as app:
        catalogue = app.scoring.indicators()
        (explained,) = app.scoring.explain(sample_rows(), as_of="2024-07-01")
    assert explained.model.fingerprint == catalogue.fingerprint
    assert {each.indicator for each in explained.contributions} <= {each.indicator for each in catalogue.indicators}
    assert explained.base + sum(each.points for each in explained.contributions) == pytest.approx(
        explained.score, abs=0.01
    )
