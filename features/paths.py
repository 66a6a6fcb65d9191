"""Which files transactions are read from."""

from pathlib import Path

from domain.errors import LayoutError

SUFFIXES = (".parquet", ".csv", ".json", ".jsonl", ".ndjson")


def suffix_of(path: Path) -> str:
    """Tell the format of *path*: '' for a folder of Parquet files; LayoutError if it is none that is read."""
    if not path.exists():
        raise LayoutError(f"{path} does not exist; give a file ending in {', '.join(SUFFIXES)}, or a folder of Parquet")
    if path.is_dir():
        return ""
    if path.suffix.lower() not in SUFFIXES:
        raise LayoutError(f"{path} ends in {path.suffix!r}; files that can be read end in {', '.join(SUFFIXES)}")
    return path.suffix.lower()
