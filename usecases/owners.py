"""What happens to an account happens to whoever owns it: both become due."""

from collections.abc import Iterable

from sqlalchemy.orm import Session

from store import due
from store.due import EVENT, Reason, Subject
from store.entities import owner_numbers, subjects


def mark_with_owners(
    session: Session,
    concerned: Iterable[Subject],
    owners: Iterable[int],
    reason: Reason,
    due_us: int,
    priority: int = EVENT,
) -> None:
    """Mark entities due, and those who own them, as *owners* were known before.

    Whoever gives something another owner marks it too. So either that is done by the time that our own mark is set,
    and whoever owns it now is found and marked as well; or it waits for us, and marks the new owner after us.
    """
    marked = {subject.entity_id: subject for subject in concerned}
    known = set(owners) - marked.keys()
    due.mark(session, [*marked.values(), *subjects(session, known)], reason, due_us, priority)
    later = owner_numbers(session, marked) - known - marked.keys()
    if later:
        due.mark(session, subjects(session, later), reason, due_us, priority)
