"""What flows give: nothing that was found against money laundering reaches commerce by a tag."""

from typing import Any

import pytest
from sqlalchemy import Engine

from fivefold.domain.errors import ConflictError, InvalidRulesetError
from fivefold.usecases.accounts.entity_types import define_type
from tests.store.filling import filled_once
from tests.usecases.deciding import Desk, opened
from tests.usecases.flow_documents import Data, acting, as_, flow_document

pytestmark = pytest.mark.postgresql

GIVES = [{"id": "look", "title": "Give the tag", "tag": "quiet"}]
COMMERCIAL = {"tags": {"quiet": "commercial"}}


@pytest.fixture
@filled_once
def desk(engine: Engine) -> Desk:
    return opened(engine)


def routed(name: str, when: Data, given: Data, other: Data, **parts: Any) -> str:
    """A flow of one choice: who is given *given* comes to `done`, who is given *other* to `nothing`."""
    step = {
        "id": "choice",
        "title": "Choice",
        "rationale": "By one thing.",
        "route": [{"when": when, "to": "done"}],
        "otherwise": "nothing",
        "on_unknown": "done",
    }
    examples = [
        {"name": "done", "given": given, "ends": "done"},
        {"name": "nothing", "given": other, "ends": "nothing"},
        {"name": "unknown", "given": {}, "ends": "done"},
    ]
    return flow_document(
        name, [step], examples=[each for each in examples if each["given"] or "level" in when], **parts
    )


def risky(**parts: Any) -> str:
    """Against money laundering: who has a high level is given a tag."""
    return routed("risky", {"level": "in_force", "equals": "high"}, {"level": "high"}, {"level": "low"}, **parts)


def say(desk: Desk, purposes: Data) -> None:
    define_type(as_(desk, desk.ana), "customer", {}, purposes=purposes)


def test_a_tag_that_commerce_reads_is_not_given_because_of_a_level(desk: Desk) -> None:
    say(desk, COMMERCIAL)
    tagged: Data = {"tag": "quiet", "is": "absent"}
    offer = routed(
        "offer", tagged, {"tags": []}, {"tags": ["quiet"]}, fields={}, purpose="commercial", purposes=COMMERCIAL
    )
    acting(desk, offer)
    with pytest.raises(InvalidRulesetError, match="flow risky → step choice → level in_force"):
        acting(desk, risky(actions=GIVES))


def test_a_tag_that_is_given_because_of_a_level_does_not_become_one_for_commerce(desk: Desk) -> None:
    acting(desk, risky(actions=GIVES))
    with pytest.raises(ConflictError, match="flow risky would feed commerce"):
        say(desk, COMMERCIAL)


def test_a_tag_that_commerce_reads_is_given_by_what_may_be_read_for_it(desk: Desk) -> None:
    say(desk, {**COMMERCIAL, "fields": {"country": "both"}})
    acting(desk, flow_document("care", actions=GIVES, purposes={"fields": {"country": "both"}}, examples=None))
