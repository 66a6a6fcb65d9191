"""`fivefold rules schema`: the page that editors read."""

from pathlib import Path

from fivefold.risk.language.policy import Policy
from fivefold.risk.language.schema import schema_json
from tests.cli.running import succeed


def test_the_schema_is_printed(tmp_path: Path) -> None:
    assert succeed(tmp_path, "rules", "schema") == schema_json()
    assert succeed(tmp_path, "rules", "schema", "--policy") == schema_json(Policy)
