"""The compiler: which columns a condition reads. What its expressions come to is in test_expressions.py."""

from decimal import Decimal
from itertools import accumulate
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from fivefold.risk.compiler.conditions import Compiler, comparison, nearly
from fivefold.risk.compiler.plain_conditions import NoPlainFormError, PlainCompiler, plain_comparison
from fivefold.risk.compiler.value_types import DTYPES, InputColumn, misfit
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import Condition, input_key
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.operators import OPERATOR_KINDS
from tests.risk.compiler.kleene import LEVELS, compared, holds, likeness

condition = TypeAdapter[Any](Condition)


def compiler(own: InputColumn | None = None) -> Compiler:
    return Compiler(resolve, {}, own)


def resolve(made: LanguageModel) -> InputColumn:
    return InputColumn(input_key(made), ValueType.NUMBER)


A, B = '{"field":"a"}', '{"field":"b"}'
FRAME = pl.DataFrame({A: [1.0, 1.0, None], B: [None, 2.0, 2.0], "own": [5.0, None, 5.0]})


@pytest.mark.parametrize(
    ("data", "truths", "reads"),
    [
        ({"field": "a", "equals": 1}, [True, True, None], [A]),
        ({"at_least": 5}, [True, None, True], ["own"]),
        ("absent", [False, True, False], ["own"]),
        ({"all": [{"field": "a", "equals": 2}, {"field": "b", "equals": 2}]}, [False, False, None], [A, B]),
        ({"any": [{"field": "a", "equals": 1}, {"field": "b", "equals": 1}]}, [True, True, None], [A, B]),
        ({"not": {"field": "b", "above": 2}}, [None, True, True], [B]),
        ({"field": "a", "above": 0, "below": 1}, [False, False, None], [A]),
    ],
)
def test_a_condition_reads_what_it_names(data: Any, truths: list[bool | None], reads: list[str]) -> None:
    made = compiler(InputColumn("own", ValueType.NUMBER))
    found = FRAME.select(made.condition(condition.validate_python(data)).alias("it"))["it"].to_list()
    assert (found, list(made.reads)) == (truths, reads)


def test_what_it_read_is_collected_over_conditions() -> None:
    made = compiler()
    for name in ("a", "b", "a"):
        made.condition(condition.validate_python({"field": name, "above": 0}))
    assert list(made.reads) == [A, B]


def test_a_comparison_without_anything_to_compare_is_a_fault_of_the_program() -> None:
    with pytest.raises(AssertionError):
        compiler().condition(condition.validate_python({"above": 0}))


LISTS = {"some": ["a", "NO", "Lech Wałęsa"], "none": []}
DAYS = ["2024-02-29", "2024-03-01T00:00:00Z", "1970-01-01"]
MOMENTS = [-1, 0, 1, 1_709_164_800_000_000, 1_709_251_199_999_999, 1_709_251_200_000_000]
texts = st.sampled_from(["a", "ab", "ba", "NO", "", "A", "Walesa Lech", "é", "e\u0301", ".*"])
bounds = st.sampled_from(
    [Decimal(text) for text in ("0", "1", "-1", "0.1", "0.3", "12.345", "100", "99999999999999.9")]
)
VALUES: dict[ValueType, st.SearchStrategy[Any]] = {
    ValueType.TEXT: texts,
    ValueType.NUMBER: st.one_of(bounds.map(float), st.just(0.1 + 0.2), st.just(float("inf")), st.just(-0.0)),
    ValueType.MONEY: st.sampled_from([0, 10, 30, 100, 1234, 1235, -100, 9_999_999_999_999_990, 2**53 - 1]),
    ValueType.FLAG: st.booleans(),
    ValueType.MOMENT: st.sampled_from(MOMENTS),
    ValueType.TEXTS: st.lists(st.one_of(st.none(), texts), max_size=3),
    ValueType.MARK: st.booleans(),
    ValueType.FINDING: st.sampled_from([0.0, 1.0, 3.0, 0.5]),
    ValueType.LEVEL: st.integers(1, len(LEVELS)),
}


def literals(kind: ValueType) -> st.SearchStrategy[Any]:
    """What a value of that kind is compared with."""
    if kind is ValueType.MOMENT:
        return st.sampled_from(DAYS)
    if kind in {ValueType.FLAG, ValueType.MARK}:
        return st.booleans()
    if kind is ValueType.LEVEL:
        return st.one_of(st.sampled_from(LEVELS), st.integers(1, len(LEVELS)).map(Decimal))
    return texts.filter(bool) if kind in {ValueType.TEXT, ValueType.TEXTS} else bounds


def operands(word: str, kind: ValueType) -> st.SearchStrategy[Any]:
    some = literals(kind)
    if word == "is":
        return st.sampled_from(["present", "absent"])
    if word in {"between", "outside"}:
        return st.lists(some, min_size=2, max_size=2)
    if word in {"in", "not_in", "contains_any"}:
        return st.lists(some, min_size=1, max_size=3)
    if word in {"in_list", "not_in_list"}:
        return st.sampled_from(sorted(LISTS))
    if word != "fuzzy":
        return some
    side = st.one_of(
        st.fixed_dictionaries({"to": some}), st.fixed_dictionaries({"list": st.sampled_from(sorted(LISTS))})
    )
    scorers = st.sampled_from(["ratio", "token_set", "partial", "jaro_winkler"])
    how = st.fixed_dictionaries({"scorer": scorers, "at_least": st.sampled_from([1, 50, 80, 100])})
    return st.tuples(side, how).map(lambda pair: {**pair[0], **pair[1]})


PAIRS = [(word, kind) for word, kinds in OPERATOR_KINDS.items() for kind in ValueType if kind in kinds]


def units_of(kind: ValueType) -> int:
    return 100 if kind is ValueType.MONEY else 1


def column_of(kind: ValueType) -> InputColumn:
    return InputColumn("it", kind, units_of(kind), LEVELS if kind is ValueType.LEVEL else ())


@pytest.mark.parametrize(("word", "kind"), PAIRS, ids=str)
@given(data=st.data())
def test_an_operator_is_as_the_book_has_it(word: str, kind: ValueType, data: st.DataObject) -> None:
    """For every operator and every kind that it is for, unknown values among them."""
    test = condition.validate_python({word: data.draw(operands(word, kind))})
    ((name, operand),) = test.comparisons()
    assert misfits(kind, word, operand) == []
    values = data.draw(st.lists(st.one_of(st.none(), VALUES[kind]), min_size=1, max_size=6))
    column = column_of(kind)
    frame = pl.DataFrame({"it": pl.Series(values, dtype=DTYPES[kind])})
    found = frame.select(comparison(name, column, operand, LISTS).alias("found"))["found"]
    assert found.dtype == pl.Boolean
    assert found.to_list() == [compared(name, operand, kind, value, LISTS, units_of(kind)) for value in values]
    plain = plain_comparison(name, column, operand, LISTS)
    assert [plain({"it": value}) for value in values] == found.to_list()


def misfits(kind: ValueType, word: str, operand: Any) -> list[str]:
    if word in {"is", "in_list", "not_in_list", "fuzzy"}:
        return []
    several = operand if isinstance(operand, tuple) else (operand,)
    return [told for value in several if (told := misfit(kind, value))]


def joined(kind: ValueType) -> st.SearchStrategy[Any]:
    words = [word for word, kinds in OPERATOR_KINDS.items() if kind in kinds and word != "fuzzy"]
    tests = st.sampled_from(words).flatmap(lambda word: operands(word, kind).map(lambda value: {word: value}))
    return st.recursive(
        tests,
        lambda below: st.one_of(
            st.fixed_dictionaries({"all": st.lists(below, min_size=1, max_size=3)}),
            st.fixed_dictionaries({"any": st.lists(below, min_size=1, max_size=3)}),
            st.fixed_dictionaries({"not": below}),
        ),
        max_leaves=6,
    )


@pytest.mark.parametrize("kind", list(ValueType), ids=str)
@given(data=st.data())
def test_conditions_are_kleenes(kind: ValueType, data: st.DataObject) -> None:
    """All, any and not, nested, with unknown values: as the book has it."""
    made = condition.validate_python(data.draw(joined(kind)))
    values = data.draw(st.lists(st.one_of(st.none(), VALUES[kind]), min_size=1, max_size=6))
    frame = pl.DataFrame({"it": pl.Series(values, dtype=DTYPES[kind])})
    compiler = Compiler(lambda _: pytest.fail("nothing is named"), LISTS, column_of(kind))
    found = frame.select(compiler.condition(made).alias("found"))["found"].to_list()
    assert found == [holds(made, kind, value, LISTS, units_of(kind)) for value in values]
    plain = PlainCompiler(lambda _: pytest.fail("nothing is named"), LISTS, column_of(kind)).condition(made)
    assert [plain({"it": value}) for value in values] == found


def test_a_mean_of_money_is_compared_with_its_fractions() -> None:
    column = InputColumn("it", ValueType.MONEY, 100)
    frame = pl.DataFrame({"it": [1234.5, 1234.0, None]})
    assert frame.select(comparison("at_least", column, Decimal("12.345"), {})).to_series().to_list() == [
        True,
        False,
        None,
    ]
    assert frame.select(comparison("equals", column, Decimal("12.34"), {})).to_series().to_list() == [False, True, None]


LARGE = [2**53 + 1, 2**53, 12_345, -1]
"""Some of them no 64-bit float holds: beside a float, a column of whole numbers is one of floats."""


@given(st.sampled_from(["above", "at_least", "equals"]), bounds, st.sampled_from([*LARGE, 1234.5, 12345.0]))
def test_a_plain_amount_is_compared_as_a_column_is(word: str, bound: Decimal, value: float) -> None:
    column = InputColumn("it", ValueType.MONEY, 100)
    found = pl.DataFrame({"it": [value]}).select(comparison(word, column, bound, {})).item()
    assert plain_comparison(word, column, bound, {})({"it": value}) is found


@pytest.mark.parametrize("second", [12.5, 12, None])
def test_a_plain_sum_beside_a_mean_is_compared_as_columns_are(second: float | None) -> None:
    test = condition.validate_python({"field": "a", "above": {"field": "b"}})
    frame = pl.DataFrame({A: [2**53 + 1, 12, None], B: [second] * 3}, strict=False)
    plain = PlainCompiler(resolve, {}).condition(test)
    found = frame.select(compiler().condition(test).alias("it"))["it"].to_list()
    assert [plain(row) for row in frame.iter_rows(named=True)] == found


def test_what_has_no_plain_form_says_so() -> None:
    with pytest.raises(NoPlainFormError):
        plain_comparison("rhymes_with", column_of(ValueType.TEXT), "a", {})


def test_an_empty_element_of_a_list_is_no_element() -> None:
    frame = pl.DataFrame({"it": [[None], [None, "a"]]}, schema={"it": pl.List(pl.String)})
    column = InputColumn("it", ValueType.TEXTS)
    assert frame.select(comparison("contains", column, "a", {})).to_series().to_list() == [False, True]


SCORERS = ("ratio", "token_set", "partial", "jaro_winkler")
letters = st.text(st.sampled_from("abcdeé ł-'"), max_size=12)


def near(text: str | None, targets: list[str], scorer: str, at_least: int) -> bool | None:
    frame = pl.DataFrame({"it": [text]}, schema={"it": pl.String})
    return frame.select(nearly(targets, scorer, at_least)(pl.col("it"))).item()  # type: ignore[no-any-return]  # a truth


@given(letters, st.lists(letters, min_size=1, max_size=3), st.sampled_from(SCORERS), st.data())
def test_a_text_is_near_from_its_cut_off_on(text: str, targets: list[str], scorer: str, data: st.DataObject) -> None:
    best = max(likeness(text, target, scorer) for target in targets)
    at_least = data.draw(
        st.sampled_from(sorted({1, 100, *(min(max(round(best) + step, 1), 100) for step in (-1, 0, 1))}))
    )
    assert near(text, targets, scorer, at_least) is (best >= at_least - 1e-6)


@pytest.mark.parametrize("same", range(1, 100))
def test_a_cut_off_that_is_met_exactly_is_met(same: int) -> None:
    """In floats 33 letters of 100 score 32.99999999999999."""
    left, right = "a" * same + "b" * (100 - same), "a" * same + "c" * (100 - same)
    assert near(left, [right], "ratio", same)
    assert not near(left, [right], "ratio", same + 1)


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize(("text", "expected"), [(None, None), ("", False), ("...", False), ("Lech Wałęsa", True)])
def test_unknown_text_stays_unknown_and_empty_text_is_like_nothing(
    scorer: str, text: str | None, expected: bool | None
) -> None:
    assert near(text, ["...", "walesa lech"], scorer, 100) is expected
    assert near(text, [], scorer, 1) is (None if text is None else False)
    assert near(text, ["..."], scorer, 1) is (None if text is None else False)


@pytest.mark.parametrize(
    ("scorer", "left", "right", "at_least"),
    [
        ("ratio", "Jon Smith", "John Smith", 90),
        ("token_set", "Bank of Cyprus Public Company", "Bank of Cyprus", 100),
        ("partial", "Rosneft", "Rosneft Trading", 100),
        ("jaro_winkler", "Martha", "Marhta", 96),
    ],
)
def test_each_scorer_sees_what_it_is_for(scorer: str, left: str, right: str, at_least: int) -> None:
    assert near(left, [right], scorer, at_least)
    assert not near("Somebody else", [right], scorer, 90)


@pytest.mark.parametrize("word", ["all", "any"])
def test_a_join_of_many_parts_is_nested_no_deeper_than_one_of_few(word: str) -> None:
    """Polars takes the square of the depth."""
    few, many = (
        compiler().condition(
            condition.validate_python({word: [{"field": "a", "above": each} for each in range(count)]})
        )
        for count in (2, 200)
    )
    assert depth(str(many)) == depth(str(few))


def depth(expression: str) -> int:
    return max(accumulate({"[": 1, "]": -1, "(": 1, ")": -1}.get(sign, 0) for sign in expression))
