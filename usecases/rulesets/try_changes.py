"""Which changes of a ruleset's text by one step its examples would not notice; nothing is stored."""

from time import monotonic
from typing import Final

from fivefold.domain.errors import Finding, InvalidRulesetError
from fivefold.risk.governance.lint.ruleset import lint_text
from fivefold.risk.governance.mutation.run import Mutations, mutate
from fivefold.risk.language.documents import Document
from fivefold.store.ingest.entities import type_named
from fivefold.usecases.accounts.entity_types import list_types
from fivefold.usecases.rulesets.drafts import name_and_type_of
from fivefold.usecases.rulesets.review import context_of_type, organisation_findings
from fivefold.usecases.shared.context import Context

MOST_SECONDS: Final = 20.0
"""After so long no further change is tried: a person waits for the page."""


def try_changes(context: Context, document: str, most_seconds: float = MOST_SECONDS) -> Mutations:
    """Change a text by one step at a time, and tell which changes no example notices.

    What is not tried after *most_seconds* is named as such.

    Raises:
        InvalidRulesetError: the text has faults, does not fit the organisation, has no examples, or one of them fails.
    """
    now, end = context.now(), monotonic() + most_seconds
    _, type_name = name_and_type_of(document)
    types = [each.name for each in list_types(context)]
    if type_name not in types:
        problem = f"is {type_name}; the types of entities are {', '.join(types) or 'none'}"
        raise InvalidRulesetError([Finding("entity_type", problem)])
    with context.reading() as session:
        around = context_of_type(session, type_named(session, context.organisation_id, type_name))
    analysed, findings = lint_text(document, around.lists)
    wrong = [finding for finding in findings if finding.fatal]
    if analysed is None or wrong:
        raise InvalidRulesetError(wrong)
    misfits = organisation_findings(analysed.ruleset, around)
    if misfits:
        raise InvalidRulesetError(misfits)
    return mutate(analysed, around.lists, now, Document(document), is_over=lambda: monotonic() > end)
