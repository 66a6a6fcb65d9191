"""The model card as data, in Markdown and as a page: one source, and nothing in it that acts."""

import json
import os
import re
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fivefold.domain.text import percent, visible_line
from fivefold.training.report.card import (
    PERCENT,
    CardSection,
    CardTable,
    Item,
    ModelCard,
    Paragraph,
    Sentence,
    TableColumn,
    items,
    paragraph,
    say,
    words,
)
from fivefold.training.report.card_page import Picture, card_page, marked
from fivefold.training.report.model_card import model_card
from fivefold.training.report.pictures import card_pictures
from tests.golden import FOLDER
from tests.pages import read
from tests.training.conftest import Runs

NASTY = '<script>alert("1")</script> & \x1b[31m {{ 7 * 7 }} {seed} `**" onload="x'
SCHEMA = FOLDER / "model_card_schema.json"
FACTS = st.one_of(
    st.text(max_size=9),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.lists(st.floats(), max_size=3).map(tuple),
)


def a_card(*sections: CardSection, title: str = "a name") -> ModelCard:
    return ModelCard(
        name=title, kind="trained", content_hash="0" * 64, title=title, caution="Take care.", sections=sections
    )


def nasty() -> ModelCard:
    table = CardTable(
        caption=NASTY,
        columns=(TableColumn(name="a", label=NASTY), TableColumn(name="b", label="b")),
        rows=((NASTY, NASTY),),
    )
    item = Item(sentence=say("Model `{name}`", name=NASTY), under=(say("{name}", name=NASTY),))
    part = CardSection(name="quality", title=NASTY, blocks=(paragraph("It: {name}", name=NASTY), items(item), table))
    return a_card(part, title=NASTY)


@pytest.fixture(scope="module")
def card(runs: Runs) -> ModelCard:
    first = runs.first
    return model_card(first.model, first.evaluation, first.lineage, first.verdict)


@pytest.fixture(scope="module")
def page(card: ModelCard, runs: Runs) -> str:
    return card_page(card, card_pictures(runs.first.model, runs.first.evaluation))


def test_the_card_comes_back_from_its_data_and_gives_the_same_forms(card: ModelCard) -> None:
    again = ModelCard.model_validate_json(card.to_json())
    assert again == card
    assert again.markdown() == card.markdown()
    assert card_page(again) == card_page(card)


@given(st.dictionaries(st.sampled_from(["a_days", "b_share", "c"]), FACTS, min_size=1))
def test_any_figures_come_back_and_are_written_alike(facts: dict[str, Any]) -> None:
    text = " ".join(f"{{{name}}}" for name in facts)
    cells = tuple(None if isinstance(fact, tuple) else fact for fact in facts.values())
    columns = tuple(TableColumn(name=name, label=name) for name in facts)
    table = CardTable(caption="figures", columns=columns, rows=(cells,))
    made = a_card(CardSection(name="one", title="One", blocks=(Paragraph(lines=(say(text, **facts),)), table)))
    again = ModelCard.model_validate_json(made.to_json())
    assert again == made
    assert again.markdown() == made.markdown()
    assert json.loads(made.to_json(), parse_constant=pytest.fail), "JSON has no such numbers"


@given(st.floats(allow_nan=True), st.sampled_from([".4f", ",.2f", "+.4f", "g"]))
def test_a_figure_is_written_as_python_writes_it(number: float, form: str) -> None:
    assert str(say(f"{{x:{form}}}", x=number)) == format(number, form)


def test_figures_that_json_lacks_are_words_and_are_written_as_figures() -> None:
    made = say("{a:.2f} {b:.2f} {c:.2f}", a=nan, b=inf, c=-inf)
    assert made.facts == {"a": "NaN", "b": "Infinity", "c": "-Infinity"}
    assert str(made) == "nan inf -inf"
    assert words("NaN") == "NaN", "a name may be so"
    assert (words(None, ".2f"), words("too few", ".2f"), words(0.5, PERCENT)) == ("None", "too few", percent(0.5))


def test_a_sentence_names_nothing_that_its_facts_lack() -> None:
    with pytest.raises(ValidationError, match=r"the sentence names b\.c, which its facts lack"):
        Sentence(text="{a} {b.c}", facts={"a": 1, "b": "x"})
    with pytest.raises(ValidationError, match="a row that is not of 1 cells"):
        CardTable(caption="t", columns=(TableColumn(name="a", label="a"),), rows=((1, 2),))


def test_the_figures_of_the_data_are_those_of_the_run(card: ModelCard, runs: Runs) -> None:
    evaluation, model = runs.first.evaluation, runs.first.model
    parts = {section.name: section for section in card.sections}
    assert len(parts) == len(card.sections), "a program finds a part by its name"
    facts = {name: _facts(section) for name, section in parts.items()}
    assert facts["purpose"]["horizon_days"] == 90
    assert facts["purpose"]["cut_points"] == (2.0, 3.0, 4.0)
    assert facts["data"]["digest"] == runs.first.lineage.summary.digest
    assert facts["data"]["learning_rate"] == runs.first.lineage.trees.learning_rate
    assert facts["quality"]["customers"] == evaluation.customers
    assert facts["quality"]["calibration_error_share"] == evaluation.registered_metrics()["calibration_error"]
    ranking, segments, tenths = (block for block in parts["quality"].blocks if isinstance(block, CardTable))
    assert ranking.rows[0][1] == evaluation.by_name["model"].normalised_gini, "not rounded"
    assert segments.rows == tuple(evaluation.segments.iter_rows())
    assert tenths.rows == tuple(evaluation.calibration.iter_rows())
    assert card.content_hash == model.content_hash


def _facts(section: CardSection) -> dict[str, Any]:
    lines = [line for block in section.blocks if isinstance(block, Paragraph) for line in block.lines]
    lines += [item.sentence for block in section.blocks if block.kind == "items" for item in block.items]
    return {name: fact for line in lines for name, fact in line.facts.items()}


def test_the_page_says_what_the_markdown_says_in_its_order(card: ModelCard, page: str) -> None:
    shown, at = _squeezed(read(page).text), 0
    for line in card.markdown().splitlines():
        plain = _squeezed(re.sub(r"^\|[-|]+\|$|^#+ |^> |^ *- |[|`]|\*\*", "", line))
        found = shown.find(plain, at)
        assert found >= 0, line
        at = found + len(plain)


def _squeezed(text: str) -> str:
    """Take out what the page and Markdown part words by, and the lines between the words of a column's name."""
    return re.sub(r"[\s_]", "", text)


def test_the_page_is_whole_and_asks_for_nothing(page: str) -> None:
    tree = read(page)
    assert not {"script", "link", "iframe", "object", "form"} & set(tree.tags)
    assert len(tree.asked) == 3
    assert all(each.startswith("data:image/svg+xml;base64,") for each in tree.asked)
    assert not re.search(r"@import|url\(|https?://", page)
    assert "default-src 'none'" in page


def test_the_page_can_be_heard(card: ModelCard, page: str) -> None:
    tree = read(page)
    assert '<html lang="en">' in page
    assert (tree.tags.count("h1"), tree.tags.count("main")) == (1, 1)
    assert tree.tags.count("h2") == sum(bool(section.title) for section in card.sections)
    tables = [block for section in card.sections for block in section.blocks if isinstance(block, CardTable)]
    assert tree.tags.count("table") == tree.tags.count("caption") == len(tables) == 9
    assert page.count('<th scope="row">') == sum(len(table.rows) for table in tables)
    assert page.count('<th scope="col"') == sum(bool(column.label) for table in tables for column in table.columns)
    assert len(re.findall(r'<img [^>]*alt="[^"]{20,}"', page)) == 3


def test_what_comes_from_outside_is_text_in_every_place() -> None:
    page = card_page(nasty(), [Picture("<svg/>", NASTY)])
    tree = read(page)
    assert "script" not in tree.tags
    assert [each for each in tree.asked if not each.startswith("data:")] == []
    assert tree.text.count(visible_line(NASTY)) == 10
    assert "\x1b" not in page
    assert "49" not in tree.text


def test_marks_of_a_sentence_are_closed_and_those_of_a_figure_are_text() -> None:
    assert marked(say("`{x}` **{x}**", x="`<**")) == "<code>`&lt;**</code> <strong>`&lt;**</strong>"
    assert read(marked(Sentence(text="**a `b** c"))).text == "a b c", "of a card that another program wrote"


def test_the_schema_is_what_readers_know() -> None:
    now = json.dumps(ModelCard.model_json_schema(), indent=2) + "\n"
    if os.environ.get("FIVEFOLD_GOLDEN") == "write":
        SCHEMA.write_text(now, encoding="utf-8")
    assert SCHEMA.read_text(encoding="utf-8") == now, "FIVEFOLD_GOLDEN=write writes it anew"
