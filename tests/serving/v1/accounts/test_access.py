"""One line a request: who asked, for which route and record, and what became of it; never what was sent."""

import asyncio
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from fivefold.domain.errors import WhyNoIdentity
from fivefold.serving import access_log as access
from fivefold.serving.access_log import AccessLog, digest_of_record
from fivefold.serving.error_middleware import ErrorMiddleware
from fivefold.serving.v1 import dispatch
from fivefold.serving.v4.app import ScoringFastPath
from fivefold.store.tables.accounts import Token
from fivefold.usecases.accounts.credentials import hash_of
from tests.serving.inprocess import SCORING, client, rows_of, started
from tests.serving.v1.places import LIMITS, OURS, Place, routes

PAGE = Path(__file__).parents[4] / "docs" / "service.md"

MARK = "MARKED-7f3a9"


@dataclass
class Written:
    """An access log and what it wrote."""

    text: bytes = b""
    log: AccessLog = field(init=False)

    def __post_init__(self) -> None:
        self.log = AccessLog(self.write)

    def write(self, text: bytes) -> None:
        self.text += text

    def lines(self) -> list[dict[str, Any]]:
        self.log.flush()
        found, self.text = [json.loads(line) for line in self.text.splitlines()], b""
        return found


def platform(place: Place, written: Written, method: str, path: str, **more: Any) -> Any:
    routes()[1]._engine = place.engine
    edge = ErrorMiddleware(routes()[0], place.watching, LIMITS.seconds, written.log)  # type: ignore[arg-type]  # stands in

    async def ask() -> Any:
        async with client(edge) as asking:
            return await asking.request(method, path, **more)

    return asyncio.run(ask())


def test_who_read_which_record_is_in_the_log_and_the_record_by_a_digest(place: Place) -> None:
    written = Written()
    place.good("PUT", f"/v1/entities/customer/{MARK}", {}, role="app")
    headers = {"token": place.tokens[OURS, "investigator"], "x-request-id": "mine-1"}
    answer = platform(place, written, "GET", f"/v1/entities/customer/{MARK}", headers=headers)
    assert answer.status_code == 200
    (line,) = written.lines()
    assert line.pop("ms") > 0
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "request",
        "level": "info",
        "request_id": "mine-1",
        "method": "GET",
        "route": "/v1/entities/{type}/{external_id}",
        "status": 200,
        "organisation": place.organisations[OURS],
        "actor": f"member:{place.members[OURS, 'investigator']}",
        "record": digest_of_record("customer", MARK),
    }
    assert answer.headers["x-request-id"] == "mine-1"


def test_a_record_with_a_number_is_named_by_it(place: Place) -> None:
    written = Written()
    headers = {"token": place.tokens[OURS, "admin"]}
    platform(place, written, "GET", "/v1/assessments/12.3", headers=headers)
    platform(place, written, "GET", f"/v1/assessments/{MARK}", headers=headers)
    numbered, other = written.lines()
    assert numbered["record"] == "assessment:12.3"
    assert "record" not in other


@pytest.mark.parametrize(
    ("token", "status", "why"), [("", 401, "no token"), (MARK, 401, "not valid"), ("role", 403, "not for this role")]
)
def test_who_could_not_sign_in_is_in_the_log(place: Place, token: str, status: int, why: str) -> None:
    written = Written()
    sent = place.tokens[OURS, "approver"] if token == "role" else token
    platform(place, written, "GET", "/v1/audit", headers={"token": sent} if sent else {})
    (line,) = written.lines()
    assert (line["status"], line["sign_in"], line["client"]) == (status, why, "127.0.0.1")
    assert ("actor" in line) is (status == 403)


def test_the_words_for_why_nobody_signed_in_are_the_documented_ones() -> None:
    section = PAGE.read_text().partition("### Why nobody signed in\n")[2].partition("\n#")[0]
    documented = re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)
    of_tokens = [access.NO_TOKEN, access.BAD_TOKEN, access.NOT_ALLOWED, access.OTHER_SITE]
    assert documented == ["sign_in", *of_tokens, *WhyNoIdentity]


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "one"}])
def test_a_token_that_ended_while_a_body_was_sent_is_in_the_log_and_was_not_used(
    place: Place, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    """Without a key the request is carried out together with others."""
    written, token, read_body = Written(), place.tokens[OURS, "app"], dispatch.read_body
    row = Token.sha256 == hash_of(token)

    async def slowly_read_body(*arguments: Any) -> bytes:
        content = await read_body(*arguments)
        with Session(place.engine) as session, session.begin():
            session.execute(update(Token).where(row).values(revoked_us=1, last_used_us=None))
        return content

    monkeypatch.setattr(dispatch, "read_body", slowly_read_body)
    platform(place, written, "POST", "/v1/transactions", content=b"[]", headers={"token": token, **headers})
    (line,) = written.lines()
    assert (line["status"], line["sign_in"], line["client"]) == (401, "not valid", "127.0.0.1")
    with Session(place.engine) as session:
        assert session.scalars(select(Token.last_used_us).where(row)).one() is None


def test_nothing_of_a_request_is_in_the_log(tmp_path: Path) -> None:
    """Not of its token, body, query, headers or address, whatever becomes of it."""
    written = Written()
    with started(tmp_path) as place:
        token = place.token(label=MARK)
        edge = ErrorMiddleware(ScoringFastPath(place.endpoint, place.app), place.watching, 5, written.log)  # type: ignore[arg-type]  # stands in

        async def ask() -> list[int]:
            async with client(edge) as asking:
                headers = {"x-request-id": f"{MARK} unsafe", "user-agent": MARK, "cookie": MARK}
                sent = [
                    asking.post(f"{SCORING}?as_of=2024-06-30", json=rows_of(MARK), headers={**headers, "token": token}),
                    asking.post(f"{SCORING}?{MARK}=1", json=rows_of(MARK), headers={**headers, "token": token}),
                    asking.post(SCORING, content=MARK, headers={**headers, "token": token}),
                    asking.post(SCORING, json=rows_of(MARK), headers={**headers, "token": MARK}),
                    asking.post(SCORING, json=rows_of(MARK), headers={**headers, "authorization": f"Bearer {MARK}"}),
                    asking.get(f"/{MARK}", headers=headers),
                ]
                return [answer.status_code for answer in await asyncio.gather(*sent)]

        assert asyncio.run(ask()) == [200, 400, 422, 401, 401, 404]
        text = json.dumps(lines := written.lines())
        assert len(lines) == 6
        assert MARK not in text
        assert token not in text
        assert lines[-1]["route"] in {"/v4/scoring", "other"}
        versions = {line["status"]: line.get("model_version") for line in lines}
        assert versions == {200: 7, 400: 7, 422: 7, 401: None, 404: None}


def test_a_log_that_is_stuck_takes_no_memory_and_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "MOST_LINES", 3)
    written = Written()
    for number in range(5):
        written.log.add({"event": "request", "number": number})
    lines = written.lines()
    assert [line.get("number") for line in lines] == [0, 1, 2, None]
    assert (lines[-1]["event"], lines[-1]["count"]) == ("requests not logged", 2)


def test_what_waits_is_written_at_the_end_and_a_lost_stderr_ends_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    log = AccessLog()
    log.start()
    log.add({"event": "request", "route": "/v4/scoring"})
    log.stop()
    assert '"route":"/v4/scoring"' in capfd.readouterr().err
