"""The shared layout of the inputs of many assessments, stored once by its hash. Begins no transaction."""

from base64 import urlsafe_b64encode
from collections.abc import Collection, Mapping
from hashlib import sha256

from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.store.sql.statements import INSERTS
from fivefold.store.tables.levels import InputLayout


def layout_name(content: str) -> str:
    """Return a layout's name: the SHA-256 of its content in Base64url, 21 bytes shorter than in hexadecimal digits.

    Each assessment stores the name of its layout.

    >>> layout_name("{}")
    'RBNvo1WzZ4oRRq0W9-hknpT7T8If536DEMBg9hyq_4o'
    """
    return urlsafe_b64encode(sha256(content.encode()).digest()).rstrip(b"=").decode()


def layout_in(content: str) -> str | None:
    """Return the layout that an assessment's content names; None if its inputs are whole, as older programs wrote them.

    >>> layout_in('{"previous":null,"layout":"ab","inputs":[1]}')
    'ab'
    """
    head, _, _ = content.partition('"inputs":')
    _, key, rest = head.partition('"layout":"')
    return rest.partition('"')[0] if key else None


def add_layouts(session: Session, organisation_id: int, layouts: Mapping[str, str]) -> None:
    """Add the layouts, by their names, that an organisation lacks."""
    lacking = sorted(set(layouts).difference(layouts_of(session, organisation_id, layouts)))
    if not lacking:
        return
    rows = [{"organisation_id": organisation_id, "name": name, "content": layouts[name]} for name in lacking]
    insert = INSERTS[session.get_bind().dialect.name](InputLayout).values(rows)
    session.execute(insert.on_conflict_do_nothing(index_elements=["organisation_id", "name"]))


def layouts_of(session: Session, organisation_id: int, names: Collection[str]) -> dict[str, str]:
    """Read layouts of an organisation by their names."""
    if not names:
        return {}
    of = (InputLayout.organisation_id == organisation_id, InputLayout.name.in_(sorted(names)))
    return {row.name: row.content for row in session.execute(select(InputLayout.name, InputLayout.content).where(*of))}
