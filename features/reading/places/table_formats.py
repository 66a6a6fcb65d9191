"""Tables of Delta and of Iceberg, each read at one version: the rows of that version, and no others."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fivefold.domain.errors import ConfigError, FileFormatError
from fivefold.domain.text import one_line
from fivefold.features.reading.places.parquet_source import (
    ROWS_COMPARED,
    ParquetPart,
    ParquetSource,
    are_without_values,
    from_row,
)

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyiceberg.table import FileScanTask, Table

    from fivefold.features.reading.places.addresses import Address

_READ_FEATURES = frozenset({"deletionVectors", "timestampNtz", "v2Checkpoint", "vacuumProtocolCheck"})
"""Features that a table of Delta may require of readers: any other, such as renamed columns, is refused."""
_VARIANTS = frozenset({"variantType", "variantType-preview"})


def open_delta(address: "Address", opener: Callable[[str], Callable[[], Any] | None]) -> ParquetSource:
    """Open a table of Delta at one version; *opener* returns a function that opens a file of an object store.

    Raises:
        FileFormatError: the version is unknown, or the table needs a feature that is not supported here.
    """
    with _errors(address, "Delta"):
        table = _opened(address)
        _require_known_features(address, table)
        schema = pa.schema(table.schema().to_arrow())
        added = pa.table(table.get_add_actions(flatten=True)).to_pylist()
        masks = _deleted(table)
    partitions = list(table.metadata().partition_columns)
    parts = []
    for row in sorted(added, key=lambda row: str(row["path"])):
        file = f"{address.place.rstrip('/')}/{unquote(row['path'])}"
        if "://" in row["path"] or row["path"].startswith("/"):
            raise FileFormatError(f"{address} has files of another table (a shallow copy), which are not read: {file}")
        constants = {name: pa.scalar(row[f"partition.{name}"], schema.field(name).type) for name in partitions}
        label = f"{address.scheme}://{file}" if address.scheme else file
        local = None if address.scheme else file
        if local is not None and not Path(local).exists():
            raise FileFormatError(
                f"{address}@{table.version()} has lost {file}: files of former versions go where the table is vacuumed"
            )
        parts.append(ParquetPart(label, local, opener(file), constants, schema, masks.get(_tail(row["path"]))))
    return ParquetSource(f"{address}@{table.version()}", tuple(parts) or (_Empty(str(address), schema),))


def _opened(address: "Address") -> "DeltaTable":
    """Open the table at the version of an address; FileFormatError if that is after the latest one."""
    from deltalake import DeltaTable  # noqa: PLC0415 (an extra)
    from deltalake.exceptions import DeltaError  # noqa: PLC0415 (as above)

    try:
        return DeltaTable(str(address), version=address.version)
    except DeltaError:
        if address.version is not None and address.version > (latest := DeltaTable(str(address)).version()):
            raise FileFormatError(f"{address} has no version {address.version}: its latest is {latest}") from None
        raise


def _require_known_features(address: "Address", table: Any) -> None:
    protocol = table.protocol()
    features = set(protocol.reader_features or ())
    if protocol.min_reader_version == 2:
        features.add("columnMapping")
    if "variant" not in table.schema().to_json():  # writers may name the type where no column has it
        features -= _VARIANTS
    unknown = sorted(features - _READ_FEATURES)
    if unknown:
        raise FileFormatError(f"{address} is a table of Delta with {', '.join(unknown)}, which is not read here")


def _tail(path: str) -> str:
    return unquote(path).rpartition("/")[2]


def _deleted(table: Any) -> dict[str, npt.NDArray[np.bool_]]:
    """Return marks of the rows that are kept, by file name; names have a random part, so no two are the same."""
    vectors = pa.table(table.deletion_vectors())
    return {
        _tail(file): np.asarray(mask, dtype=np.bool_)
        for file, mask in zip(vectors["filepath"].to_pylist(), vectors["selection_vector"].to_pylist(), strict=True)
    }


@dataclass(frozen=True)
class _Empty:
    """A table without files."""

    label: str
    schema: pa.Schema
    rows: int = 0
    identity: str = ""

    def lacks_values(self, _column: str) -> bool:
        """Return False: without rows there is nothing to read."""
        return False

    def batches(
        self, _columns: Sequence[str], _dictionaries: Collection[str], _rows: int, _first_row: int = 0
    ) -> Iterator[pa.RecordBatch]:
        """Return nothing."""
        return iter(())


@contextmanager
def _errors(address: "Address", kind: str) -> Iterator[None]:
    """Raise FileFormatError with the address for any error of a library of tables: they have none in common."""
    try:
        yield
    except (ModuleNotFoundError, FileFormatError, ConfigError):
        raise
    except Exception as error:  # noqa: BLE001 (see above)
        text = one_line(str(error)) or type(error).__name__
        raise FileFormatError(f"{address} cannot be read as a table of {kind}: {text}") from None


def open_iceberg(address: "Address") -> ParquetSource:
    """Open a table of Iceberg at one snapshot, by its metadata file or as `iceberg://CATALOG/NAMESPACE.TABLE`.

    Catalogs are those of pyiceberg's own configuration.

    Raises:
        FileFormatError: the table or snapshot is unknown, or has deletes that are not supported here.
        ConfigError: the address names no table.
    """
    from pyiceberg.catalog import load_catalog  # noqa: PLC0415 (an extra)
    from pyiceberg.table import StaticTable  # noqa: PLC0415 (as above)

    with _errors(address, "Iceberg"):
        if address.is_catalog:
            catalog, slash, name = address.place.partition("/")
            if not slash or "." not in name:
                raise ConfigError(f"{address} must be iceberg://CATALOG/NAMESPACE.TABLE")
            table: Table = load_catalog(catalog).load_table(name)
        else:
            table = StaticTable.from_metadata(str(address))
        present = table.current_snapshot()
        number = address.version if address.version is not None else present.snapshot_id if present else None
        if number is None:
            return ParquetSource(str(address), (_Empty(str(address), table.schema().as_arrow()),))
        if table.snapshot_by_id(number) is None:
            raise FileFormatError(f"{address} has no snapshot {number}")
        scan = table.scan(snapshot_id=address.version)  # without a version the columns have their names of today
        tasks = sorted(scan.plan_files(), key=lambda task: task.file.file_path)
        schema = scan.projection().as_arrow()
    parts = tuple(_IcebergPart(address, table, number, task, schema) for task in tasks)
    return ParquetSource(f"{address}@{number}", parts or (_Empty(str(address), schema),))


@dataclass(frozen=True)
class _IcebergPart:
    """A file of a table of Iceberg, and its deleted rows; pyiceberg reads it into memory as a whole."""

    address: "Address"
    table: "Table"
    snapshot: int
    task: "FileScanTask"
    schema: pa.Schema

    @property
    def label(self) -> str:
        """The file."""
        return str(self.task.file.file_path)

    @cached_property
    def rows(self) -> int:
        """Number of rows, including deleted ones."""
        return int(self.task.file.record_count)

    @property
    def identity(self) -> str:
        """The snapshot: its files do not change."""
        return str(self.snapshot)

    def lacks_values(self, column: str) -> bool:
        """Check the table's own counts for the file, which include deleted rows, or else the values."""
        field = self.table.scan(snapshot_id=self.address.version).projection().find_field(column)
        count = (self.task.file.null_value_counts or {}).get(field.field_id)
        if count == self.rows:
            return True
        if count is not None and not self.task.delete_files:
            return False
        return are_without_values(self._batches([column], ROWS_COMPARED))

    def batches(
        self, columns: Sequence[str], _dictionaries: Collection[str], rows: int, first_row: int = 0
    ) -> Iterator[pa.RecordBatch]:
        """Return some columns of the rows that were not deleted."""
        return from_row(self._batches(columns, rows), first_row)

    def _batches(self, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        from pyiceberg.expressions import AlwaysTrue  # noqa: PLC0415 (an extra)
        from pyiceberg.io.pyarrow import ArrowScan  # noqa: PLC0415 (as above)

        with _errors(self.address, "Iceberg"):
            scan = self.table.scan(snapshot_id=self.address.version, selected_fields=tuple(columns))
            reader = ArrowScan(self.table.metadata, self.table.io, scan.projection(), AlwaysTrue())
            for batch in reader.to_record_batches([self.task]):
                for first in range(0, batch.num_rows, rows):
                    yield batch.select(list(columns)).slice(first, rows)
