# ruff: noqa: INP001 (a script, run by its path)
"""Writes what a lock file pins as a software bill of materials: CycloneDX 1.5, JSON.

usage: python deploy/sbom.py runtime.lock sbom.cdx.json
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?==([^ ;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def bill_of(lock: str) -> dict[str, Any]:
    """Read the pins of a lock file, with the hashes of their files."""
    components: list[dict[str, Any]] = []
    for line in lock.splitlines():
        if pin := _PIN.match(line):
            name, version = pin.groups()
            url = f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"
            components.append(
                {"type": "library", "name": name, "version": version, "purl": url, "bom-ref": url, "properties": []}
            )
        for found in _HASH.findall(line):
            components[-1]["properties"].append({"name": "file:sha256", "value": found})
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": components}


if __name__ == "__main__":
    lock, output = map(Path, sys.argv[1:])
    output.write_text(json.dumps(bill_of(lock.read_text(encoding="utf-8")), indent=2) + "\n", encoding="utf-8")
