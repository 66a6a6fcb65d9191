"""Columns that a file may lack, and columns that are nearly named as these."""

from pathlib import Path

import pytest

from fivefold.domain.errors import FileFormatError
from fivefold.usecases.portfolio_files.columns import OPTIONAL, PARTS, refuse_misspelt
from tests.cli.running import run
from tests.risk.governance.making import TEXT


@pytest.mark.parametrize(
    ("part", "columns", "near", "absent"),
    [
        ("tags", ["entity_id", "tag", "from", "untill"], "untill", "until"),
        ("tags", ["entity_id", "tag", "form", "until"], "form", "from"),
        ("links", ["type", "from", "to", "valid_from", "Valid Until"], "Valid Until", "valid_until"),
        ("screenings", ["entity_id", "screening", "found", "att"], "att", "at"),
        ("cases", ["entity_id", "opened", "closd", "outcome"], "closd", "closed"),
        ("labels", ["entity_id", "confirmd", "at"], "confirmd", "confirmed"),
        ("entities", ["entity_id", "known_att"], "known_att", "known_at"),
        ("transactions", ["user_id", "transaction_id", "transaction_stat"], "transaction_stat", "transaction_state"),
        ("transactions", ["user_id", "tx_status"], "tx_status", "transaction_state"),
    ],
)
def test_a_column_that_is_nearly_an_optional_one_is_refused(
    part: str, columns: list[str], near: str, absent: str
) -> None:
    with pytest.raises(FileFormatError, match=f"f.csv has no column {absent}, and has {near}; perhaps {near} is meant"):
        refuse_misspelt(part, columns, "f.csv")
    refuse_misspelt(part, columns, "f.csv", {near})
    refuse_misspelt(part, [absent if name == near else name for name in columns], "f.csv")
    refuse_misspelt(part, [*columns, absent], "f.csv")


def test_columns_that_the_documentation_names_are_not_taken_for_each_other() -> None:
    assert set(OPTIONAL) == set(PARTS)
    refuse_misspelt("transactions", ["user_id", "transaction_date", "transaction_kind", "transaction_amount"], "f.csv")
    refuse_misspelt("links", ["type", "from", "to"], "f.csv")
    refuse_misspelt("screenings", ["entity_id", "screening", "found"], "f.csv")


def test_a_transaction_that_failed_does_not_count_because_its_column_is_misspelt(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(TEXT)
    people = {"csv": "entity_id,kind,country,income,knownat\n1,person,XC,5,\n"}
    people["json"] = '[{"entity_id": "1", "kind": "person", "country": "XC", "income": 5, "knownat": "2024-01-01"}]'
    for suffix, text in people.items():
        (tmp_path / f"people.{suffix}").write_text(text)
        command = ("rules", "assess", tmp_path / "rules.yaml", tmp_path / f"people.{suffix}")
        done = run(tmp_path, *command)
        assert (done.code, done.out) == (2, "")
        assert "has no column known_at, and has knownat; perhaps knownat is meant: --map" in done.err.replace("\n", " ")
        (tmp_path / "sent.csv").write_text(
            "user_id,transaction_stat,transaction_amount,transaction_currency,transaction_date\n"
            "1,FAILED,100,EUR,2024-01-01\n"
        )
        sent = run(tmp_path, *command, "--map", "entities.knownat=known_at", "--transactions", tmp_path / "sent.csv")
        assert sent.code == 2
        assert "--map transactions.transaction_stat=transaction_state" in sent.err.replace("\n", " ")
