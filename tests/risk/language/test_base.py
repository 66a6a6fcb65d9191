"""The canonical form of a part alone; that of whole rulesets is in test_reading.py."""

import hashlib
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
