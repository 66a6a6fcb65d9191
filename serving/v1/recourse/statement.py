"""Statements for the persons concerned."""

from fivefold.serving.v1.levels.levels import Numbered
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import ResponseModel
from fivefold.usecases.recourse import statement as statements
from fivefold.usecases.recourse.statement import Statement


class StatementGiven(ResponseModel):
    """A statement, and the SHA-256 of its content, which the audit log keeps."""

    statement: Statement
    sha256: str


def give_statement(context: RequestContext, assessment: Numbered) -> StatementGiven:
    """Make the statement of an assessment, such as 12.3, for the person concerned, and record that it was given.

    It says which data were looked at, what each did, and what other values would have done: so it is for those who
    may see thresholds. A rule that is not disclosable leaves no trace.
    """
    statement = statements.give_statement(context, assessment, "json")
    return StatementGiven(statement=statement, sha256=statement.sha256)
