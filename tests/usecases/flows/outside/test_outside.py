"""Sources of data: asked over HTTPS at an address that was checked, and believed where the answer fits."""

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fivefold.flows.outside.outcomes import OutsideOutcome, read_outcome
from fivefold.flows.outside.question import SentFacts, asking_step, sent_facts
from fivefold.flows.steps import STOP, RowContext, Stop
from fivefold.usecases.flows.outside import DAY_US, MOST_KEPT, KeptAnswers, OutsideAccess, SourceAnswer, ask
from fivefold.usecases.flows.sources import DataSource, DataSources, source_diagnostics
from fivefold.usecases.shared import connections
from tests.flows.flows_small import END, HIGH, NOTHING, analysed, document, program
from tests.usecases.flows.outside.servers import Got, Said, Server, serving
from tests.usecases.webhooks.certificates import certified

Data = dict[str, Any]
NOW = 1_800_000_000_000_000
SECRET = "a secret & no other"
SCHEMA = {
    "type": "object",
    "properties": {"status": {"type": "string"}, "staff": {"type": "object"}, "capital": {"type": "number"}},
    "required": ["status"],
}
GIVES = {"status": "/status", "employees": "/staff/count", "capital": "/capital"}
DATA: Data = {
    "source": "companies",
    "send": {"country": {"field": "country"}, "spent": {"sum": "amount"}},
    "gives": {"status": {"one_of": ["active", "dissolved"]}, "employees": "number", "capital": "money"},
    "purpose": "aml",
}
STEP: Data = {"id": "d", "data": DATA, "on_unknown": "nothing"}
FACTS = {'{"field":"country"}': "DE/../x", '{"sum":"amount"}': 12_345}
WELL = {"status": "active", "staff": {"count": 12}, "capital": 10.5}


def source(port: int = 443, **parts: Any) -> DataSource:
    plain = {
        "title": "Companies",
        "url": f"https://localhost:{port}/of/{{country}}?v=1",
        "sends": ["country", "spent"],
        "gives": GIVES,
        "answer": SCHEMA,
        "private": True,
        "seconds": 2,
        "secret": {"header": "X-Key", "name": "COMPANIES", "form": "Key {secret}"},
    }
    return DataSource.model_validate({**plain, **parts})


def asked(
    own: DataSource, data: Data = DATA, facts: Data = FACTS, outside: OutsideAccess | None = None
) -> OutsideOutcome:
    """Run a flow to the step that asks, ask, and give what came of it."""
    made = program(document({**STEP, "data": data}, END, NOTHING))
    row = made.run_row(facts, RowContext({}, {}))
    step = asking_step(made, row)
    assert step is not None
    return ask(outside or outside_with(own), step, sent_facts(made, row))


def outside_with(
    own: DataSource, now: Callable[[], int] = lambda: NOW, waits: list[float] | None = None
) -> OutsideAccess:
    waited = [] if waits is None else waits
    return OutsideAccess(
        organisation="acme", sources={"companies": own}, secrets={"COMPANIES": SECRET}, clock=now, wait=waited.append
    )


def says(content: Any = WELL, **parts: Any) -> Callable[[Got], Said]:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return lambda _: Said(body, **parts)


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ssl.SSLContext]:
    with certified("localhost", tmp_path, monkeypatch) as context:
        yield context


@contextmanager
def register(tls: ssl.SSLContext, answer: Callable[[Got], Said]) -> Iterator[tuple[Server, DataSource]]:
    with serving(answer, tls) as server:
        yield server, source(server.port)


def test_what_a_source_answers_becomes_an_outcome_that_replays(tls: ssl.SSLContext) -> None:
    with register(tls, says()) as (server, own):
        outcome = asked(own)
    assert outcome.failed is None
    assert outcome.values == {"status": "active", "employees": Decimal(12), "capital": Decimal("10.5")}
    assert (outcome.source, outcome.at_us, len(outcome.digest)) == ("companies (localhost)", NOW, 64)
    assert outcome.registration == own.digest != own.model_copy(update={"tries": 1}).digest
    [got] = server.got
    assert (got.method, got.path) == ("GET", "/of/DE%2F..%2Fx?v=1&spent=123.45")
    assert got.headers["X-Key"] == f"Key {SECRET}"
    assert got.headers["Host"] == f"localhost:{server.port}"
    made = program(document(STEP, END, NOTHING))
    again = read_outcome(json.loads(outcome.canonical), made.steps[0].outputs)
    assert again == outcome
    assert SECRET not in outcome.canonical
    assert made.run_row(FACTS, RowContext({}, {}, {"d": again}))[STOP] == Stop.ENDED


def test_a_post_sends_the_facts_as_json_and_is_not_repeated(tls: ssl.SSLContext) -> None:
    with register(tls, says(status=503)) as (server, own):
        for repeatable, tries in ((False, 1), (True, 3)):
            server.got.clear()
            waits: list[float] = []
            parts = {"method": "POST", "repeatable": repeatable, "tries": 3, "url": f"https://localhost:{server.port}/"}
            post = own.model_copy(update=parts)
            assert asked(post, outside=outside_with(post, waits=waits)).failed == "answered 503"
            assert [got.told for got in server.got] == [{"country": "DE/../x", "spent": 123.45}] * tries
            assert len(waits) == tries - 1


def test_a_source_that_answers_at_the_second_try_has_answered(tls: ssl.SSLContext) -> None:
    said = [Said(status=502), Said(json.dumps(WELL).encode())]
    with register(tls, lambda _: said.pop(0)) as (server, own):
        assert asked(own).failed is None
        assert len(server.got) == 2


def test_what_it_cost_is_kept_beside_the_outcome_and_changes_nothing_of_the_run(tls: ssl.SSLContext) -> None:
    said = [Said(status=502), Said(json.dumps(WELL).encode()), Said(status=404)]
    with register(tls, lambda _: said.pop(0)) as (_, own):
        outside, kept = outside_with(own), {**DATA, "no_older_than": "2 hours"}
        asked_twice = asked(own, kept, FACTS, outside)
        from_before = asked(own, kept, FACTS, outside)
        failed = asked(own, DATA, FACTS, outside)
    costs = [each.as_json()["cost"] for each in (asked_twice, from_before, failed)]
    assert [each["tries"] for each in costs] == [2, 0, 1]
    assert all(0 <= each["milliseconds"] < 60_000 and "tokens" not in each for each in costs)
    again = read_outcome(asked_twice.as_json(), program(document(STEP, END, NOTHING)).steps[0].outputs)
    assert again.cost == asked_twice.cost
    made = program(document(STEP, END, NOTHING))
    rows = [made.run_row(FACTS, RowContext({}, {}, {"d": replace(again, cost=cost)})) for cost in (None, again.cost)]
    assert rows[0] == rows[1]
    unknown = asked(own, DATA, dict.fromkeys(FACTS))
    assert (unknown.failed is None, unknown.cost) == (False, None)


@pytest.mark.parametrize("cost", [[], {"milliseconds": 1.5}, {"tries": True}, {"time": 1}])
def test_what_is_no_cost_is_refused(cost: Any) -> None:
    content = {"values": {}, "source": "s", "at_us": 0, "cost": cost}
    with pytest.raises(ValueError, match="the cost of an outcome has whole numbers"):
        read_outcome(content, program(document(STEP, END, NOTHING)).steps[0].outputs)


@pytest.mark.parametrize(
    ("answer", "part", "tries"),
    [
        (says(status=404), "answered 404", 1),
        (says(status=429), "answered 429", 2),
        (says(status=302, headers={"Location": "https://localhost/"}), "answered 302; redirects are not followed", 1),
        (says(b"{"), "the answer is not JSON", 1),
        (says(b"\xff\xfe"), "the answer is not JSON", 1),
        (says(b'{"status": NaN}'), "the answer is not JSON", 1),
        (says(b'{"status": "active", "status": "dissolved"}'), "the answer is not JSON", 1),
        (says(b"[" * 60_000), "the answer is n", 1),
        (says(b'{"status": ' + b"9" * 5_000 + b"}"), "the answer is not JSON", 1),
        (says({"status": 3}), "the answer does not fit its schema: type at status", 1),
        (says({"staff": {}}), "the answer does not fit its schema: required at the whole", 1),
        (says({**WELL, "status": "closed"}), "status is 'closed'; it must be one of", 1),
        (says({**WELL, "staff": {"count": True}}), "employees true is not a number", 1),
        (says({**WELL, "staff": {"count": [1]}}), "employees a list is not a number", 1),
        (says(b'{"status": "active", "capital": 1e999}'), "", 1),
        (says({**WELL, "echo": f"Key {SECRET}"}), "the answer has the secret in it", 1),
        (says(b" " * 70_000), "the answer has more than 65,536 bytes", 1),
        (says(headers={"Content-Encoding": "gzip"}), "the answer is compressed", 1),
        (says(length=1_000), "the connection failed", 2),
    ],
)
def test_what_cannot_be_used_failed_and_says_why(
    answer: Callable[[Got], Said], part: str, tries: int, tls: ssl.SSLContext
) -> None:
    with register(tls, answer) as (server, own):
        outcome = asked(own)
        assert len(server.got) == tries
    assert outcome.failed is not None
    assert part in outcome.failed
    assert SECRET not in outcome.canonical
    assert outcome.values == {}


def test_an_answer_that_comes_slowly_is_none(tls: ssl.SSLContext) -> None:
    with register(tls, says(slow_seconds=0.2)) as (_, own):
        quick = own.model_copy(update={"seconds": 1, "tries": 1})
        assert asked(quick).failed == "no whole answer within 1 s"


def test_what_does_not_come_is_unknown(tls: ssl.SSLContext) -> None:
    with register(tls, says({"status": "active", "staff": {}, "capital": None})) as (_, own):
        assert asked(own.model_copy(update={"answer": {}})).values == {"status": "active"}


def test_without_a_fact_nobody_is_asked(tls: ssl.SSLContext) -> None:
    with register(tls, says()) as (server, own):
        outcome = asked(own, facts={**FACTS, '{"field":"country"}': None})
        assert outcome.failed == "not asked, as country is unknown"
        assert "dots alone" in (asked(own, facts={**FACTS, '{"field":"country"}': ".."}).failed or "")
        assert server.connections == 0


def test_an_address_of_ones_own_network_is_not_connected_to(tls: ssl.SSLContext) -> None:
    with register(tls, says()) as (server, own):
        failed = asked(own.model_copy(update={"private": False})).failed or ""
        assert server.connections == 0
    assert "which is loopback; it must be a public one" in failed


def test_the_connection_goes_to_the_address_that_was_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up = []

    async def once(url: Any, **_: Any) -> tuple[str, ...]:
        looked_up.append(url.host)
        return ("127.0.0.1",)

    monkeypatch.setattr(connections, "addresses_of", once)  # the name itself leads nowhere
    for name, failed in (("register.example", False), ("other.example", True)):
        with certified(name, tmp_path, monkeypatch) as context, serving(says(), context) as server:
            url = f"https://register.example:{server.port}/{{country}}"
            assert (asked(source(url=url, tries=1)).failed is not None) is failed
            assert len(server.got) == (not failed)
    assert looked_up == ["register.example"] * 2


def test_an_answer_is_kept_for_as_long_as_the_step_allows_and_no_longer(tls: ssl.SSLContext) -> None:
    moment = [NOW]
    with register(tls, says()) as (server, own):
        outside = outside_with(own, lambda: moment[0])
        kept, other = {**DATA, "no_older_than": "2 hours"}, {**FACTS, '{"sum":"amount"}': 1}
        hour = DAY_US // 24
        for after, facts, data, times in (
            (0, FACTS, kept, 1),
            (2 * hour, FACTS, kept, 1),
            (2 * hour, other, kept, 2),
            (2 * hour + 1, FACTS, kept, 3),
            (2 * hour + 1, FACTS, DATA, 4),
        ):
            moment[0] = NOW + after
            outcome = asked(own, data, facts, outside)
            assert (len(server.got), outcome.failed) == (times, None)
            if (after, times) == (2 * hour, 1):
                assert outcome.at_us == NOW
        moment[0] = NOW + 30 * DAY_US
        asked(own, {**DATA, "no_older_than": "1 year"}, FACTS, outside)
        assert len(server.got) == 5


def test_so_many_answers_are_kept_at_most() -> None:
    kept = KeptAnswers()
    for number in range(MOST_KEPT + 1):
        kept.put((str(number),), SourceAnswer({}, NOW, ""))
    assert kept.get(("0",), 0, NOW) is None
    assert kept.get(("1",), 0, NOW) is not None
    assert kept.get(("1",), 0, NOW - 1) is None  # of a clock that went back


FLOW = document(STEP, END, NOTHING)


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ({}, None),
        ({"sends": ["country"]}, "sends country, spent; the source companies takes country"),
        ({"gives": {"status": "/status"}}, "takes capital of the source companies, which gives status"),
        ({"purpose": "aml"}, None),
        ({"purpose": "both"}, None),
    ],
)
def test_what_a_flow_asks_must_be_registered_so(parts: Data, problem: str | None) -> None:
    own = source(**parts, **({"url": "https://localhost/"} if parts else {}))
    found = [each.problem for each in source_diagnostics(analysed(FLOW).flow, {"companies": own}, has_agent=False)]
    assert found[:1] == ([] if problem is None else [problem])
    if problem is not None:
        assert asked(own).failed == problem  # also where it was registered otherwise after the flow was committed


def test_a_source_may_be_for_more_than_a_flow_says_and_never_for_less() -> None:
    flow = analysed(document({**STEP, "data": {**DATA, "purpose": "both"}}, END, NOTHING)).flow
    said = [
        [each.problem for each in source_diagnostics(flow, {"companies": source(purpose=purpose)}, has_agent=False)]
        for purpose in ("both", "aml")
    ]
    assert said == [[], ["says that its data are for both; the source companies is registered for aml"]]


def test_who_may_not_ask_a_host_has_no_such_source() -> None:
    allowed = {"acme": {"hosts": ["LOCALHOST"]}, "other": {"hosts": ["example.com"]}}
    sources = DataSources.model_validate({"organisations": allowed, "sources": {"companies": source().model_dump()}})
    assert [list(sources.allowed(name)) for name in ("acme", "other", "nobody")] == [["companies"], [], []]
    [found] = source_diagnostics(analysed(FLOW).flow, sources.allowed("other"), has_agent=False)
    assert found.problem == "there is no source companies that may be asked; there are none"


def test_facts_are_sent_in_their_own_form() -> None:
    send = {
        "level": {"level": "in_force"},
        "born": {"field": "born"},
        "words": {"field": "words"},
        "mean": {"mean": "amount"},
        "income": {"field": "income"},
        "tag": {"tag": "vip"},
    }
    route = {"id": "r", "route": [{"when": HIGH, "to": "d"}], "otherwise": "nothing"}
    made = program(document(route, {**STEP, "data": {**DATA, "send": send}}, END, NOTHING))
    facts = {
        '{"level":"in_force"}': 3,
        '{"field":"born"}': 86_400_000_000,
        '{"field":"words"}': ["a", "b"],
        '{"mean":"amount"}': 33.5,
        '{"field":"income"}': 0.1,
        '{"tag":"vip"}': False,
    }
    sent = sent_facts(made, made.run_row(facts, RowContext({}, {})))
    assert sent == SentFacts(
        values={
            "born": "1970-01-02",
            "income": Decimal("0.1"),
            "level": "high",
            "mean": Decimal("0.335"),
            "tag": False,
            "words": ("a", "b"),
        },
        why=sent.why,
    )
    assert [step for step, _ in sent.why] == ["r"]
    assert "level is high" in sent.why[0][1]
