"""`fivefold statement`: the statement of an assessment for the person concerned."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from fivefold.cli.terminal import OrganisationOption, acting_in, echo, open_current_database
from fivefold.domain.errors import ConfigError
from fivefold.domain.files import replacing


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(statement)


def statement(
    assessment: Annotated[str, typer.Argument(help="Its number, such as 12.3.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .pdf or .json file to write.")],
    organisation: OrganisationOption = "default",
) -> None:
    """Write the statement of an assessment for the person concerned.

    It lists the data, the effect of each, and the effect of other values. A rule that is not disclosable leaves no
    trace. It is recorded that it was given, with its SHA-256.
    """
    if output.suffix not in {".pdf", ".json"}:
        raise ConfigError(f"--output is {str(output)!r}; it must end in .pdf or .json")
    from fivefold.usecases.recourse.statement import give_statement

    form: Literal["json", "pdf"] = "pdf" if output.suffix == ".pdf" else "json"
    engine = open_current_database()
    statement_given = give_statement(acting_in(engine, organisation), assessment, form)
    if form == "pdf":
        from fivefold.console.recourse.statement_pdf import pdf_of_statement

        content = pdf_of_statement(statement_given, "UTC")
    else:
        from fivefold.console.recourse.statement import json_of_statement

        content = json_of_statement(statement_given)
    with replacing(output) as unfinished:
        unfinished.write_bytes(content)
    echo(f"Statement of assessment {assessment}: {output}")
    echo(f"  SHA-256 of its content, as the audit log has it: {statement_given.sha256}")
