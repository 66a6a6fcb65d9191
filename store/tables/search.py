"""The table of words by which entities are found."""

from sqlalchemy import ForeignKey, Index, Integer, SmallInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from fivefold.store.tables.accounts import Base
from fivefold.store.tables.entities import BIG

MOST_WORD = 40
"""Longest word, characters; of a longer one the beginning is kept."""


class SearchWord(Base):
    """A word of an entity's identifier or of one of its attributes, as `store.portfolio.words` reads them.

    Words are in the order of their characters' numbers on both databases, so that those with the same beginning stand
    together. Rows are made anew whenever attributes change.

    Attributes:
        place: where the word stands, a `store.portfolio.words.Place`.
    """

    __tablename__ = "search_words"
    __table_args__ = (Index("ix_search_words_entity_id", "entity_id", "word"), {"sqlite_with_rowid": False})

    type_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    place: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    word: Mapped[str] = mapped_column(
        String(MOST_WORD).with_variant(String(MOST_WORD, collation="C"), "postgresql"), primary_key=True
    )
    entity_id: Mapped[int] = mapped_column(BIG, ForeignKey("entities.id"), primary_key=True)
