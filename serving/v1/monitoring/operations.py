"""What waits and who works on it, and how far imports are."""

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.usecases.ingest import import_progress
from fivefold.usecases.ingest.import_progress import ImportLine
from fivefold.usecases.monitoring import operations
from fivefold.usecases.monitoring.operations import OperationsFigures


def read_operations(context: RequestContext) -> OperationsFigures:
    """Show what waits, the workers, and when the audit log was proven last; each figure as of a moment."""
    return operations.read_figures(context)


def list_imports(context: RequestContext, query: PageQuery) -> Page[ImportLine]:
    """List the imports of files, the newest first, and how far they are."""
    return import_progress.list_imports(context, query.part)
