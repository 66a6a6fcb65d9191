"""Runs and actions as they are stored, by the names that the model of flows gives them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from fivefold.store.tables.flows import FlowRun
from tests.usecases.flows.flowing import FlowBank


@dataclass(frozen=True)
class StoredFlows:
    """What a bank has stored of flows; *ids* are the numbers of its customers by name."""

    bank: FlowBank
    ids: Mapping[str, int]

    def runs(self) -> dict[tuple[str, int, str, str, bool], FlowRun]:
        """Give the runs that are stored, by what they are known by."""
        names = {number: name for name, number in self.ids.items()}
        flows, versions = self._flows()
        named = self._names_of_causes()
        return {
            (
                flows[run.flow_id],
                versions[run.version_id],
                names[run.entity_id],
                named(run.cause),
                run.acting,
            ): run
            for run in self.bank.runs()
        }

    def actions(self) -> dict[tuple[str, str, str, str], Any]:
        """Give the actions that are stored, by what they are known by."""
        names = {number: name for name, number in self.ids.items()}
        flows, _ = self._flows()
        named = self._names_of_causes()
        return {
            (
                flows[each.flow_id],
                names[each.entity_id],
                named(each.cause),
                each.action,
            ): each
            for each in self.bank.actions()
        }

    def _flows(self) -> tuple[dict[int, str], dict[int, int]]:
        with self.bank.engine.connect() as connection:
            flows = connection.execute(text("SELECT id, name FROM flows")).all()
            versions = connection.execute(text("SELECT id, number FROM flow_versions")).all()
        return {row[0]: row[1] for row in flows}, {row[0]: row[1] for row in versions}

    def _names_of_causes(self) -> Callable[[str], str]:
        """Name causes by the place of a row among those of its customer, as the model does, records by numbers."""
        names: dict[str, str] = {}
        customers = {number: name for name, number in self.ids.items()}
        with self.bank.engine.connect() as connection:
            records = dict(connection.execute(text("SELECT id, external_id FROM records")).all())
            payments = connection.execute(text("SELECT batch, transaction_id FROM transactions")).all()
            names |= {f"import:{batch}": f"import:{number}" for batch, number in payments}
            for kinds, rows in (
                (("tag", "tag-end"), "SELECT entity_id, id FROM tags ORDER BY id"),
                (("screening",), "SELECT entity_id, id FROM screenings ORDER BY id"),
                (("level",), "SELECT entity_id, number FROM transitions ORDER BY number"),
            ):
                counts: dict[int, int] = {}
                for entity, number in connection.execute(text(rows)):
                    counts[entity] = counts.get(entity, 0) + 1
                    for kind in kinds:
                        row = f"{entity}.{number}" if kind == "level" else number
                        names[f"{kind}:{row}"] = f"{kind}:{counts[entity]}"

        def named(cause: str) -> str:
            kind, _, rest = cause.partition(":")
            if kind in {"alert", "case"}:
                number, _, at = rest.partition(".")
                return f"{kind}:{records[int(number)]}.{at}"
            if kind == "tag-end":
                number, _, at = rest.partition(".")
                return f"{names[f'tag-end:{number}']}.{at}"
            if rest.startswith("attributes-"):
                number, _, at = rest.removeprefix("attributes-").partition(".")
                return f"import:attributes-{customers[int(number)]}.{at}"
            return names.get(cause, cause)

        return named
