"""Drafts of rulesets and of flows as their editors save, discard and commit them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fivefold.console.rulesets.text import refused_shortly, typed_document
from fivefold.console.texts import text
from fivefold.console.visit import Redirect, Visit, address, existing_number, without_nul
from fivefold.domain.errors import ConfigError, InvalidRulesetError
from fivefold.usecases.rulesets.drafts import NO_DRAFT


@dataclass(frozen=True, kw_only=True)
class DraftKind:
    """What drafts of a kind are read and written by: use cases.

    Attributes:
        place: of the kind in an address, before the name.
        part: of an address that is the name.
        committed: the notice that a version was made.
        line: NotFoundError where there is nothing of that name.
    """

    place: str
    part: str
    committed: str
    line: Callable[[Visit, str], object]
    draft: Callable[[Visit, str], Any]
    refuse_other_name: Callable[[Visit, str, str], None]
    save_draft: Callable[[Visit, str, int], object]
    discard_draft: Callable[[Visit, str, int], object]
    commit: Callable[[Visit, str, int, str], Any]

    def save(self, visit: Visit) -> Redirect:
        """Save what was typed; what another person saved meanwhile is replaced only where that is wanted."""
        name = visit.parts[self.part]
        self.line(visit, name)
        document = typed_document(visit)
        over = visit.form.get("over", "")
        self.refuse_other_name(visit, document, name)
        self.save_draft(visit, document, existing_number(over, text("revision")) if over else began_with(visit))
        return Redirect(visit.path, "draft-saved")

    def discard(self, visit: Visit) -> Redirect:
        """Take the draft away that the person saw; the versions stay."""
        name = visit.parts[self.part]
        self.discard_draft(visit, name, began_with(visit))
        return Redirect(address(self.place, name), "draft-discarded")

    def commit_draft(self, visit: Visit) -> Redirect:
        """Make a version of the draft as it is saved."""
        name = visit.parts[self.part]
        self.line(visit, name)
        document, revision = typed_document(visit), began_with(visit)
        if self.draft(visit, name).document != document:
            raise ConfigError(text("the text is not the draft that is saved; save it first"))
        try:
            committed = self.commit(visit, name, revision, visit.form.get("accept_warnings", "").strip())
        except InvalidRulesetError as wrong:
            raise refused_shortly(wrong, text("say why it is committed with them")) from wrong
        return Redirect(address(self.place, name, "versions", str(committed.number)), self.committed)


def typed_text(visit: Visit) -> str:
    """Give the text as it was typed, to be shown again."""
    return without_nul(visit.form.get("document", ""))


def began_with(visit: Visit) -> int:
    """Give the revision of the draft with which the text was begun; 0 where there was none."""
    return existing_number(visit.form.get("revision") or str(NO_DRAFT), text("revision"))
