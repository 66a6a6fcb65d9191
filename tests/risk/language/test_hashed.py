"""Documents that are known by what they say."""

import hashlib

from fivefold.risk.language.base import ContentHashed


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
