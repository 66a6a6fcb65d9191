"""Strict YAML: every trap of the format is read as expected, or refused with its line in the words of the language."""

import json
from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from fivefold.domain.errors import InvalidRulesetError
from fivefold.domain.text import MOST_NAMES, perhaps
from fivefold.risk.language.documents import MOST_BYTES, MOST_DEPTH, Document, in_plain_words
from fivefold.risk.language.messages import problem_of, words_of_the_language
from fivefold.risk.language.operators import Fuzzy, Operators
from fivefold.risk.language.patterns import Velocity
from fivefold.risk.language.ruleset import Coverage, Expectation, Rule, Ruleset
from tests.golden import compare
from tests.risk.language.documents_made import as_json, as_yaml

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.decimals(allow_nan=False, allow_infinity=False), texts
)
data = st.recursive(
    scalars,
    lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(texts, below, max_size=3)),
    max_leaves=8,
)
names = st.sampled_from(["a", "b-c", "NO", "1"])
blocks = st.recursive(
    scalars,
    lambda below: st.one_of(
        st.lists(below, min_size=1, max_size=3), st.dictionaries(names, below, min_size=1, max_size=3)
    ),
    max_leaves=8,
)


def refused(text: str) -> str:
    with pytest.raises(InvalidRulesetError) as caught:
        Document(text)
    (finding,) = caught.value.findings
    return str(finding)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("a: NO", "NO"),
        ("a: off", "off"),
        ("a: Yes", "Yes"),
        ("a: y", "y"),
        ("a: 2024-01-01", "2024-01-01"),
        ("a: 12:30", "12:30"),
        ("a: 1_000", "1_000"),
        ("a: 10,000", "10,000"),
        ("a: 0x10", "0x10"),
        ("a: 0o14", "0o14"),
        ("a: 010", 10),
        ("a: .5", Decimal("0.5")),
        ("a: 5.", Decimal(5)),
        ("a: 0.10", Decimal("0.10")),
        ("a: 1e5", Decimal("1E+5")),
        ("a: .inf", ".inf"),
        ("a: .nan", ".nan"),
        ("a: 99999999999999999999", Decimal(99999999999999999999)),
        ("a: TRUE", True),
        ("a: False", False),
        ("a: ~", None),
        ("a: NULL", None),
        ("a:", None),
        ("a: ''", ""),
        ("a: 'true'", "true"),
        ('a: "12"', "12"),
        ("a: =", "="),
        ("a: |\n  x\n  y\n", "x\ny\n"),
        ("\ufeffa: 1", 1),
        ("%YAML 1.1\n---\na: NO\n...\n", "NO"),
        ("a: 1\r\n", 1),
        ('{"a": "\\ud83d\\ude00"}', "😀"),
        ('{\n\t"a"\t:\t1\n}', 1),
    ],
)
def test_what_is_written_is_what_is_read(text: str, read: Any) -> None:
    found = Document(text).data["a"]
    assert found == read
    assert type(found) is type(read)


@pytest.mark.parametrize("name", ["1", "true", "null", "~", "1.5", "NO", "<<", "2024-01-01"])
def test_names_are_text(name: str) -> None:
    assert Document(f"{name}: x").data == {name: "x"}
    assert Document(f"{{{name}: x}}").data == {name: "x"}


def test_traps_are_refused() -> None:
    compare("yaml_errors", refused)
    assert refused("[" * 100_000) == "line 1: YAML: is nested deeper than 60"
    deep = "".join(" " * depth + "a:\n" for depth in range(500))
    assert refused(deep) == "line 60: YAML: is nested deeper than 60"


HIDDEN = "a: 1\n# agreed with compliance{}b: 2\nc: 3\n"


@pytest.mark.parametrize("sign", ["\r", "\x85", "\u2028", "\u2029"])
def test_a_character_that_some_take_for_an_end_of_line_hides_nothing(sign: str) -> None:
    number = f"{ord(sign):04x}"
    assert refused(HIDDEN.format(sign)) == (
        f"line 2: YAML: the character U+{number}, at which some readers end a line and others do not;"
        f" end the line plainly (LF, or CR LF), or write \\u{number} in quotes"
    )
    assert Document(f'a: "x\\u{number}y"').data == {"a": f"x{sign}y"}
    assert Document(HIDDEN.format("\r\n").replace("\n", "\r\n").replace("\r\r", "\r")).data == {"a": 1, "b": 2, "c": 3}


@pytest.mark.parametrize("sign", ["\u202a", "\u202e", "\u2066", "\u2069"])
def test_a_character_that_turns_text_around_is_refused(sign: str) -> None:
    number = f"{ord(sign):04x}"
    assert refused(HIDDEN.format(sign)) == (
        f"line 2: YAML: the character U+{number}, which shows the text behind it in another order;"
        f" leave it out, or write \\u{number} in quotes"
    )
    assert Document(f'a: "\\u{number}"').data == {"a": sign}


def test_as_deep_as_allowed_is_read() -> None:
    assert Document("[" * (MOST_DEPTH - 1) + "1" + "]" * (MOST_DEPTH - 1)).data


def test_a_document_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_BYTES == 5_000_000
    monkeypatch.setattr("fivefold.risk.language.documents.MOST_BYTES", 5_000)
    assert Document("#" * 5_000).data is None
    assert refused("#" * 5_001) == "the document: has more than 5,000 characters"
    monkeypatch.setattr("fivefold.risk.language.documents.MOST_NODES", 3)
    assert Document("[1, 2]").data == [1, 2]
    assert refused("[1, 2, 3]") == "the document: has more than 3 names and values"


@given(data, st.sampled_from([None, 2, "\t"]), st.booleans())
def test_json_is_read_as_json(made: Any, indent: Any, ascii_only: bool) -> None:
    """Whatever JSON says, spaced or indented in whatever way, is read as JSON has it, but for exact numbers."""
    text = as_json(made)
    loaded = json.loads(text, parse_float=Decimal)
    assert Document(text).data == made
    if "E" not in text:  # Python writes numbers with an exponent as floats
        spaced = json.dumps(json.loads(text), indent=indent, ensure_ascii=True)
        assert Document(spaced).data == json.loads(spaced, parse_float=Decimal)
    assert loaded == made


@given(blocks)
def test_blocks_are_read_as_brackets_are(made: Any) -> None:
    assert Document(as_yaml(made)).data == Document(as_json(made)).data == made


TEXT = """\
rules:
  - id: a
    cases:
      - {when: {min: amount, at_least: 3}, points: 5}
      - when:
          not: {not: {not: {equals: 1}}}
"""


@pytest.mark.parametrize(
    ("location", "path", "line"),
    [
        (("rules", 0), ("rules", 0), 2),
        (("rules", 0, "cases"), ("rules", 0, "cases"), 3),
        (("rules", 0, "cases", 0, "points"), ("rules", 0, "cases", 0, "points"), 4),
        (("rules", 0, "cases", 0, "when", "min", "min"), ("rules", 0, "cases", 0, "when", "min"), 4),
        (("rules", 0, "cases", 0, "when", "min", "over"), ("rules", 0, "cases", 0, "when", "min"), 4),
        (("rules", 0, "cases", 0, "when", "min", "at_least"), ("rules", 0, "cases", 0, "when", "at_least"), 4),
        (("rules", 0, "cases", 1, "when"), ("rules", 0, "cases", 1, "when"), 5),
        (("rules", 0, "cases", 9, "when"), ("rules", 0, "cases"), 3),
        (("nothing",), (), 1),
    ],
)
def test_a_place_is_found(location: tuple[str | int, ...], path: tuple[str | int, ...], line: int) -> None:
    """Branches that a checker tried are left out, and of two equally long ways the one with the last word is taken."""
    assert Document(TEXT).position(location)[:2] == (path, line)


def test_what_the_checker_was_given_decides_between_places() -> None:
    document = Document(TEXT)
    test = document.data["rules"][0]["cases"][0]["when"]
    location = ("rules", 0, "cases", 0, "when", "min")
    assert document.position(location, test)[0] == location[:-1]
    assert document.position(location, "amount")[0] == location
    inner = document.data["rules"][0]["cases"][1]["when"]["not"]["not"]
    assert document.position(("rules", 0, "cases", 1, "when", *["not"] * 6), inner)[0] == (
        *("rules", 0, "cases", 1, "when", "not", "not"),
    )


def test_an_empty_document_has_no_lines() -> None:
    assert Document("# nothing").position(("a",)) == ((), None, None)
    assert Document("a:\n  b: 1").line(("a", "b", "c")) == 2
    assert Document("a:\n  b: 1").position(("a", "b")) == (("a", "b"), 2, 3)


def test_a_complaint_without_a_place_is_told_as_it_is() -> None:
    assert str(in_plain_words(yaml.YAMLError("something else"), "")) == "YAML: something else"


@pytest.mark.parametrize(
    ("style", "behind", "ends_with"),
    [("|", "\n\n", "two"), (">", "\n", "two"), (">-", "", "two"), ("|+", "\n\n\n", "two\n\n"), ("|", "  \n", "two  ")],
)
def test_text_in_lines_ends_before_what_follows_it(style: str, behind: str, ends_with: str) -> None:
    text = f"a:\n  - b: {style}\n      one\n      two{behind}"
    for follows in ("", "c: 1\n") if behind else ("",):
        read = Document(text + follows)
        span, end = read.span(("a", 0)), read.list_end(("a",))
        assert span is not None
        assert end is not None
        assert (text[: span[1]], end.index) == (f"a:\n  - b: {style}\n      one\n      {ends_with}", span[1])


def problems(form: type[BaseModel], data: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        form.model_validate(data)
    return [problem_of(fault, ["country"]) for fault in caught.value.errors()]


FORMS = {form.__name__: form for form in (Coverage, Expectation, Fuzzy, Operators, Rule, Ruleset, Velocity)}


def test_a_mistake_in_plain_words() -> None:
    compare("language_messages", lambda row: " | ".join(problems(FORMS[row[0]], row[1])))


def test_what_is_not_foreseen_is_told_as_the_checker_has_it() -> None:
    fault = {"type": "something_new", "input": 1, "loc": (), "msg": "Value error, as it is"}
    assert problem_of(fault, ()) == "as it is"


def test_words_are_those_that_files_have() -> None:
    words = words_of_the_language()
    assert {"points", "is", "in", "not", "ruleset", "thresholds", "fuzzy"} <= set(words)
    assert not {"state", "not_among", "negated", "peer_fact"} & set(words)


def test_one_letter_wrong_gets_a_suggestion() -> None:
    compare("suggestions", lambda row: perhaps(*row) or "nothing")


def test_among_very_many_names_nothing_is_suggested() -> None:
    names = ["country", *(f"f{number}" for number in range(MOST_NAMES - 1))]
    assert perhaps("contry", names) == "; perhaps country was meant"
    assert perhaps("contry", [*names, "one more"]) == ""
