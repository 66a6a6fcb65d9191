"""Drafts of rulesets and of flows as their editors save, discard and commit them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from fivefold.console.rulesets.text import LineChange, line_changes, refused_shortly, typed_document
from fivefold.console.texts import text
from fivefold.console.visit import Redirect, Rendered, Visit, address, existing_number, without_nul
from fivefold.domain.errors import ConfigError, InvalidRulesetError
from fivefold.usecases.flows.drafts import FlowDraftSaved
from fivefold.usecases.flows.read import FlowDraftShown, FlowVersionView
from fivefold.usecases.rulesets.drafts import NO_DRAFT, DraftSaved
from fivefold.usecases.rulesets.read import DraftShown, VersionView

AnyVersion = VersionView | FlowVersionView
SavedDraft = DraftSaved | FlowDraftSaved


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """What another person saved or committed since a text was begun.

    Attributes:
        lines: in which it differs from the draft as it is now, or else from the newest version.
        version: the newest, where there is no draft any more; None where there is a draft, or no version either.
    """

    lines: tuple[LineChange, ...]
    version: AnyVersion | None = None


@dataclass(frozen=True, kw_only=True)
class DraftKind:
    """What drafts of a kind are read and written by: use cases.

    Attributes:
        place: of the kind in an address, before the name.
        part: of an address that is the name.
        committed: the notice that a version was made.
        line: NotFoundError where there is nothing of that name.
        still_open: the page of a draft with a form that is not written into it; None where no form is.
    """

    place: str
    part: str
    committed: str
    line: Callable[[Visit, str], object]
    draft: Callable[[Visit, str], Any]
    refuse_other_name: Callable[[Visit, str, str], None]
    save_draft: Callable[[Visit, str, int], SavedDraft]
    discard_draft: Callable[[Visit, str, int], object]
    commit: Callable[[Visit, str, int, str], Any]
    still_open: Callable[[Visit], Rendered | None]

    def save(self, visit: Visit) -> Redirect | Rendered:
        """Save what was typed; what another person saved meanwhile is replaced only where that is wanted."""
        name = visit.parts[self.part]
        self.line(visit, name)
        document = typed_document(visit)
        over = visit.form.get("over", "")
        self.refuse_other_name(visit, document, name)
        began = existing_number(over, text("revision")) if over else began_with(visit)
        return self.after_saving(visit, self.save_draft(visit, document, began).revision)

    def after_saving(self, visit: Visit, revision: int) -> Redirect | Rendered:
        """Go to the draft as it is saved now; a form beside it that is not written into it stays open."""
        fields = {name: value for name, value in visit.form.items() if name != "over"}
        shown = self.still_open(replace(visit, form={**fields, "revision": str(revision)}))
        return Redirect(visit.path, "draft-saved") if shown is None else shown

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


def conflict_with(
    document: str, revision: int, saved: DraftShown | FlowDraftShown | None, newest: Callable[[], AnyVersion | None]
) -> Conflict | None:
    """Tell what a text would replace that its author has not seen; None where the draft is the one that it began with.

    Args:
        document: the text.
        revision: of the draft that it began with.
        saved: the draft as it is now; None where there is none.
        newest: reads the version that was committed last.
    """
    if revision == (NO_DRAFT if saved is None else saved.revision):
        return None
    version = newest() if saved is None else None
    theirs = version if saved is None else saved
    return Conflict(lines=line_changes("" if theirs is None else theirs.document, document), version=version)


def typed_text(visit: Visit) -> str:
    """Give the text as it was typed, to be shown again."""
    return without_nul(visit.form.get("document", ""))


def began_with(visit: Visit) -> int:
    """Give the revision of the draft with which the text was begun; 0 where there was none."""
    return existing_number(visit.form.get("revision") or str(NO_DRAFT), text("revision"))
