"""The table of idempotency keys: requests by their key, and the answers."""

from sqlalchemy import BigInteger, ForeignKey, Integer, SmallInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from fivefold.store.tables.accounts import Base


class IdempotencyKey(Base):
    """A request that is carried out once, however often it is sent.

    Attributes:
        digest: of the request.
        attempt: the one that may store changes; no other may.
        state: started, stored (with what was asked, in one transaction) or answered.
        begun_us: when the attempt began.
        answer: None before there is one, and where it is not kept.
    """

    __tablename__ = "idempotency_keys"

    token_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"), index=True)
    digest: Mapped[str] = mapped_column(String(64))
    attempt: Mapped[str] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(8))
    begun_us: Mapped[int] = mapped_column(BigInteger, index=True)
    status: Mapped[int | None] = mapped_column(SmallInteger)
    answer: Mapped[str | None] = mapped_column(Text)
