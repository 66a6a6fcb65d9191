"""Answers, byte for byte."""

import json

import pytest
from starlette.responses import Response

from fivefold.domain.errors import Problem
from fivefold.serving import responses as answers
from fivefold.serving.responses import ARRAY, ApiError, error_response, json_response

PROBLEM = Problem(3, "user_category", "is 'APP'", "API or WEB")


@pytest.mark.parametrize(
    ("status", "text", "body"),
    [
        (400, answers.DATA_NOT_VALID, b'[{"detail":"Data not valid"}]'),
        (401, answers.NO_CREDENTIALS, b'[{"detail":"Could not validate credentials"}]'),
        (405, answers.USER_TYPE, b'[{"detail":"User type not allowed"}]'),
        (
            406,
            answers.TOO_MANY_ROWS,
            b'[{"detail":"the number of observations in the payload exceed the available quote"}]',
        ),
        (422, answers.UNPROCESSABLE, b'[{"detail":"Unprocessable Entity"}]'),
        (
            429,
            answers.USED_UP,
            b'[{"detail":"The maximum monthly number of calls or predictions for your account has been exceeded"}]',
        ),
    ],
)
def test_the_texts_of_the_contract(status: int, text: str, body: bytes) -> None:
    for answer in (error_response(status, text), ApiError(status, text).response()):
        assert (answer.status_code, answer.body) == (status, body)
        assert answer.headers["content-type"] == "application/json"


WORDS = {404: "Not Found", 500: "Internal Server Error", 504: "Gateway Timeout"}


@pytest.mark.parametrize(("status", "text"), WORDS.items())
def test_an_error_without_words_has_those_of_its_status(status: int, text: str) -> None:
    assert error_response(status).body == b'[{"detail":"%s"}]' % text.encode()


def test_problems_are_a_second_key() -> None:
    assert json.loads(error_response(400, "no", [PROBLEM]).body) == [
        {
            "detail": "no",
            "errors": [{"row": 3, "field": "user_category", "problem": "is 'APP'", "allowed": "API or WEB"}],
        }
    ]
    assert error_response(422, "no", []).body == b'[{"detail":"no","errors":[]}]'
    assert json.loads(ApiError(400, "no", [PROBLEM] * 2).response().body)[0]["errors"][1]["row"] == 3


def test_an_array_says_that_it_is_one_and_keeps_its_headers() -> None:
    answer = ApiError(429, "no", headers={"Retry-After": "60"}).response()
    assert {name: answer.headers[name] for name in (ARRAY, "retry-after")} == {ARRAY: "1", "retry-after": "60"}
    assert ARRAY not in json_response([]).headers


def test_what_goes_well_is_json() -> None:
    answer: Response = json_response([{"user_id": "é\u2028😀", "score": 4.35}], {"X-One": "1"})
    assert answer.status_code == 200
    assert json.loads(answer.body) == [{"user_id": "é\u2028😀", "score": 4.35}]
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-one"] == "1"
    assert answer.body.startswith(b'[{"user_id":"\xc3\xa9')


def test_a_message_may_quote_what_utf_8_cannot_encode() -> None:
    problem = Problem(1, "name", "is '\ud800'", "text")
    body = json.loads(error_response(422, "it is '\ud800'", [problem]).body)
    assert body[0]["detail"] == r"it is '\ud800'"
    assert body[0]["errors"][0]["problem"] == r"is '\ud800'"
