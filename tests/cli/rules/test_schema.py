"""`fivefold rules schema`: the page that editors read."""

from pathlib import Path

from fivefold.risk.language.schema import policy_schema_json, schema_json
from tests.cli.running import succeed


def test_the_schema_is_printed(tmp_path: Path) -> None:
    assert succeed(tmp_path, "rules", "schema") == schema_json()
    assert succeed(tmp_path, "rules", "schema", "--policy") == policy_schema_json()
