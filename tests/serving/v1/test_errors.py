"""Which error is which status, and what is told of it."""

import json
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, FailFast, Field, TypeAdapter, ValidationError
from starlette.responses import Response

from fivefold.domain import errors
from fivefold.domain.errors import Finding, FivefoldError, Problem
from fivefold.risk.language.reading import read_ruleset
from fivefold.serving.responses import ARRAY
from fivefold.serving.v1.errors import Faults, invalid_part, invalid_request, response_to
from fivefold.serving.v1.schemas import RequestModel


def told(answer: Response | None) -> tuple[int, dict[str, Any]]:
    assert answer is not None
    assert answer.headers[ARRAY] == "1"
    (body,) = json.loads(bytes(answer.body))
    Faults.model_validate(body)
    return answer.status_code, body


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (errors.NotFoundError("there is no customer 'a'"), 404, "there is no customer 'a'"),
        (errors.ConflictError("somebody else must"), 409, "somebody else must"),
        (errors.NotEnoughDataError("nobody to look at"), 409, "nobody to look at"),
        (errors.ConfigError("it must be 3"), 422, "it must be 3"),
        (errors.FileFormatError("a column is missing"), 422, "a column is missing"),
        (errors.LockedError("another transaction held a lock"), 503, "another transaction held a lock"),
        (errors.StoreError("password=secret"), 503, "Service Unavailable"),
    ],
)
def test_an_error_has_a_status_and_says_what_is_wrong(error: FivefoldError, status: int, detail: str) -> None:
    assert told(response_to(error)) == (status, {"detail": detail})


def test_rows_that_cannot_be_taken_are_listed() -> None:
    status, body = told(response_to(errors.InvalidDataError([Problem(3, "country", "is 'XX'", "a country")], 7)))
    assert status == 422
    assert body == {
        "detail": "Data not valid: 7 problems (rows count from 0)",
        "errors": [{"row": 3, "field": "country", "problem": "is 'XX'", "allowed": "a country"}],
    }


def test_of_more_problems_than_are_listed_the_true_number_is_told() -> None:
    words = "".join(f"k{number}: 1\n" for number in range(20_000))
    with pytest.raises(errors.InvalidRulesetError) as refused:
        read_ruleset(words)
    _, body = told(response_to(refused.value))
    missing = sum(finding.problem == "is missing" for finding in refused.value.findings)
    assert body["detail"] == f"the ruleset is not valid: the first 100 of {20_000 + missing} problems"
    assert len(body["errors"]) == 100


def test_what_is_wrong_with_a_ruleset_is_listed_with_its_lines() -> None:
    findings = [Finding("rule a", "is empty", 4), Finding("rule b", "has no rationale", fatal=False)]
    status, body = told(response_to(errors.InvalidRulesetError(findings, "the draft")))
    assert status == 422
    assert body["detail"] == "the draft is not valid"
    assert body["errors"] == [
        {"where": "rule a", "problem": "is empty", "line": 4, "fatal": True},
        {"where": "rule b", "problem": "has no rationale", "line": None, "fatal": False},
    ]


def test_every_error_that_use_cases_raise_for_people_is_in_the_table() -> None:
    """The others are faults of ours, or are never raised by what a route calls."""
    of_models = {errors.ModelError, errors.FingerprintMismatchError, errors.ModelNotFoundError, errors.RegistryError}
    of_models.add(errors.OwnIndicatorError)
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, FivefoldError)]
    missing = {
        kind
        for kind in kinds
        if response_to(kind([]) if kind in {errors.InvalidDataError, errors.InvalidRulesetError} else kind("x")) is None  # type: ignore[arg-type]  # each has arguments of its own
    }
    assert missing == of_models | {FivefoldError}


class Form(BaseModel):
    """Something that is asked for."""

    name: str
    rows: list[int]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"{", [("body", "is not JSON at line 1, column 1; allowed: JSON in UTF-8, uncompressed")]),
        (b"\xef\xbb\xbf{}", [("body", "begins with a byte order mark; allowed: JSON in UTF-8, uncompressed")]),
        (
            b'{"name": %b}' % (b"1" * 5_000),
            [("body", "has a number of more than 4300 digits; allowed: JSON in UTF-8, uncompressed")],
        ),
        (b"[]", [("body", "input should be an object")]),
        (
            b'{"rows": [1, "x"]}',
            [
                ("body.name", "field required"),
                ("body.rows.1", "input should be a valid integer, unable to parse string as an integer"),
            ],
        ),
    ],
)
def test_a_body_of_another_form_is_told_place_by_place(body: bytes, found: list[tuple[str, str]]) -> None:
    with pytest.raises(ValidationError) as caught:
        Form.model_validate_json(body)
    status, said = told(invalid_request("body", caught.value))
    assert (status, said["detail"]) == (422, "Unprocessable Entity")
    assert [(error["where"], error["problem"]) for error in said["errors"]] == found


class Strict(RequestModel):
    """Something with no other fields."""

    name: str
    begins: str | None = Field(default=None, alias="from")
    more: "Strict | None" = None


@pytest.mark.parametrize(
    ("what", "form", "content", "found"),
    [
        ("body", Strict, {"name": "a", "nmae": 1}, ("body.nmae", "is not a field here; allowed: name, from, more")),
        (
            "query",
            Strict,
            {"name": "a", "begins": "x"},
            ("query.begins", "is not a parameter of this route; allowed: name, from, more"),
        ),
        (
            "body",
            Annotated[list[Strict], FailFast()],
            [{"name": "a", "b": 1}],
            ("body.0.b", "is not a field here; allowed: name, from, more"),
        ),
        ("body", Strict, {"name": "a", "more": {"name": "a", "b": 1}}, ("body.more.b", "is not a field here")),
        ("body", dict[str, Strict], {"a": {"name": "a", "b": 1}}, ("body.a.b", "is not a field here")),
    ],
)
def test_where_a_name_is_unknown_those_of_the_form_are_told(
    what: str, form: Any, content: object, found: tuple[str, str]
) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(form).validate_python(content)
    (error,) = told(invalid_request(what, caught.value, form))[1]["errors"]
    assert (error["where"], error["problem"]) == found


def test_one_thing_is_told_alone() -> None:
    assert told(invalid_part("query", "says it twice"))[1]["errors"] == [
        {"where": "query", "problem": "says it twice", "line": None, "fatal": True}
    ]
