"""The canonical form of a part alone; that of whole rulesets is in test_reading.py."""

import hashlib
import subprocess
import sys
from decimal import Decimal

from fivefold.risk.language.base import ContentHashed, canonical_form
from fivefold.risk.language.operators import Operators
from fivefold.risk.language.ruleset import Coverage, Outcome


def test_a_part_is_written_without_defaults_in_order_and_in_ascii() -> None:
    assert canonical_form(Coverage(rules=Decimal("100.0"), cases=Decimal("80.0"))) == "{}"
    assert canonical_form(Outcome(points=Decimal("-5.50"), floor="höher")) == '{"floor":"h\\u00f6her","points":-5.5}'
    assert canonical_form(Operators.model_validate({"in": ["b", Decimal("1.0")], "is": "present"})) == (
        '{"in":["b",1],"is":"present"}'
    )


class Note(ContentHashed):
    """A document for this test."""

    words: str
    size: int = 1


def test_a_document_is_known_by_what_it_says() -> None:
    note = Note(words="a", size=1)
    assert note.canonical == '{"words":"a"}'
    assert note.content_hash == hashlib.sha256(b'{"words":"a"}').hexdigest() == Note(words="a").content_hash


def test_a_changed_copy_is_another_one() -> None:
    note = Note(words="a")
    assert note.canonical
    copied = note.model_copy(update={"words": "b"})
    assert copied.canonical == '{"words":"b"}'
    assert copied.content_hash != note.content_hash
    assert note.model_copy().content_hash == note.content_hash


COMPLETE = """
from fivefold.flows.governance import diff
from fivefold.risk.governance import diff
from fivefold.risk.language.base import LanguageModel

def forms(parent):
    for form in parent.__subclasses__():
        yield form
        yield from forms(form)

print(*(form.__name__ for form in set(forms(LanguageModel)) if form.__pydantic_complete__))
"""
"""Imports all of the language; prints the forms for which Pydantic has built a schema."""


def test_forms_are_completed_where_they_are_first_used() -> None:
    """Each form of a condition has all of the language in its schema: all of them took 150 MB of every process."""
    printed = subprocess.run([sys.executable, "-c", COMPLETE], check=True, capture_output=True, text=True).stdout
    assert len(printed.split()) < 20, printed
