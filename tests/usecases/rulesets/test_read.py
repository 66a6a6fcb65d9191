"""Rulesets as publishers read them."""

import pytest
from sqlalchemy import Engine

from fivefold.domain.errors import NotFoundError
from fivefold.usecases.rulesets.commit import commit
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.rulesets.read import compare_versions, list_families, list_versions, read_draft, read_version
from fivefold.usecases.shared.context import Context
from tests.usecases.at_once import put_list_version
from tests.usecases.governed import document, founded


def test_families_drafts_and_versions_are_read_as_they_were_written(engine: Engine) -> None:
    ana, ben, _ = founded(engine)
    put_list_version(Context(engine, ana), "watched", 0, ["IR"], "Watched", "Ourselves")
    for remark, medium in (("first", 30), ("second", 29)):
        saved = save_draft(Context(engine, ana), document(remark=remark, medium=medium))
        commit(Context(engine, ben), "retail", saved.revision)
    saved = save_draft(Context(engine, ben), document(remark="third"), 0)
    save_draft(Context(engine, ana), document("other"))
    retail, other = list_families(Context(engine, ana))
    assert (retail.name, retail.entity_type, retail.position, retail.enabled) == ("retail", "customer", 1, True)
    assert (retail.active, retail.newest, retail.draft_revision) == (None, 2, saved.revision)
    assert (other.name, other.newest, other.draft_revision) == ("other", None, 1)
    assert list_families(Context(engine, ana), "customer") == [retail, other]
    draft = read_draft(Context(engine, ana), "retail")
    assert (draft.document, draft.editors) == (document(remark="third"), ("member:2",))
    second, first = list_versions(Context(engine, ana), "retail")
    assert [(line.number, line.editors, line.committed_by) for line in (second, first)] == [
        (2, ("member:1",), "member:2"),
        (1, ("member:1",), "member:2"),
    ]
    shown = read_version(Context(engine, ana), "retail", 1)
    assert (shown.document, shown.content_hash) == (document(remark="first"), first.content_hash)
    assert [example["name"] for example in shown.tests["examples"]] == ["watched", "north"]
    found = compare_versions(Context(engine, ana), "retail", 2, 1)
    assert [str(change) for change in found.changes] == ["score, points, thresholds: 30, 60 → 29, 60"]


def test_another_organisations_rulesets_are_not_there(engine: Engine) -> None:
    ana, *_ = founded(engine)
    save_draft(Context(engine, ana), document())
    other, *_ = founded(engine, "other")
    assert list_families(Context(engine, other)) == []
    for name in ("retail", "nothing"):
        for ask in (read_draft, list_versions):
            with pytest.raises(NotFoundError, match=f"^there is no ruleset '{name}'$"):
                ask(Context(engine, other), name)
        with pytest.raises(NotFoundError, match=f"^there is no ruleset '{name}'$"):
            read_version(Context(engine, other), name, 1)
        with pytest.raises(NotFoundError, match=f"^there is no ruleset '{name}'$"):
            compare_versions(Context(engine, other), name, 2, 1)
    with pytest.raises(NotFoundError, match=r"^there is no ruleset 'retial'; perhaps retail was meant$"):
        read_draft(Context(engine, ana), "retial")
    with pytest.raises(NotFoundError, match=r"^there is no ruleset 'retial'$"):
        read_draft(Context(engine, other), "retial")  # whose name it is no business of another organisation
    with pytest.raises(NotFoundError, match=r"^there is no entity type 'custmer'; perhaps customer was meant$"):
        list_families(Context(engine, ana), "custmer")
    with pytest.raises(NotFoundError, match=r"^there is no version 1 of retail$"):
        read_version(Context(engine, ana), "retail", 1)
    with pytest.raises(NotFoundError, match=r"^there is no entity type 'company'$"):
        list_families(Context(engine, ana), "company")
