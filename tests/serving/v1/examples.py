"""A request that is answered well, for every route, in an organisation that has one of everything."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from serving.v1.paths import path_to
from serving.v1.route import Route
from tests.serving.v1.places import Place
from tests.usecases.platforms import transaction

CUSTOMER, COMPANY = "c/1 ä", "acme"
"""An identifier with everything that paths have a meaning for; and the only one of its type."""
OPENED = "2026-11-01T12:00:00Z"


@dataclass(frozen=True)
class Example:
    """What is asked of a route.

    Attributes:
        parts: of its path.
        body: None for none.
        query: as text.
        own: the parts that name something of our organisation alone: to others it is not there. Empty where a name may
            be anybody's, or where there is none.
    """

    parts: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    query: Mapping[str, str] = field(default_factory=dict)
    own: tuple[str, ...] = ()

    def path(self, route: Route, **other: str) -> str:
        """Give the path, with other parts in place of some."""
        return path_to(route.path, **{**self.parts, **other})


_CUSTOMER = {"type": "customer", "external_id": CUSTOMER}
_OF_CUSTOMER = ("type", "external_id")

EXAMPLES: Mapping[str, Example] = {
    "put_entities": Example({"type": "company"}, [{"external_id": "a"}, {"external_id": "b"}], own=("type",)),
    "put_entity": Example({"type": "company", "external_id": COMPANY}, {"attributes": {"size": 3}}, own=("type",)),
    "set_tag": Example({**_CUSTOMER, "tag": "vip"}, {"until": "2099-01-01"}, own=("external_id",)),
    "end_tag": Example({**_CUSTOMER, "tag": "kept"}, own=("external_id", "tag")),
    "add_screening": Example(_CUSTOMER, {"screening": "pep", "found": False}, own=("external_id",)),
    "put_case": Example({**_CUSTOMER, "number": "case 1"}, {"opened_at": OPENED}, own=("external_id",)),
    "put_alert": Example({**_CUSTOMER, "number": "alert 1"}, {"opened_at": OPENED}, own=("external_id",)),
    "post_transactions": Example(body=[transaction(1, CUSTOMER)], query={"type": "customer"}),
    "read_settings": Example(),
    "choose_levels": Example(body={"levels": ["low", "medium", "high", "critical"]}),
    "change_settings": Example(body={"override_cap_percent": 20}),
    "list_types": Example(),
    "define_type": Example({"name": "session"}, {"fields": {"device": "text"}}),
    "list_members": Example(),
    "add_member": Example(body={"name": "Zoë", "roles": ["publisher"]}),
    "set_roles": Example({"member": "1"}, {"roles": ["approver", "admin"]}, own=("member",)),
    "leave": Example({"member": "2"}, own=("member",)),
    "list_entries": Example(query={"limit": "3"}),
}
"""By the names of handlers."""


def furnish(place: Place) -> Place:
    """Give our organisation one of everything that the examples name."""
    place.good("PUT", "/v1/entity-types/company", {"fields": {"size": "number"}}, role="admin")
    place.good("PUT", path_to("/v1/entities/{t}/{e}", t="customer", e=CUSTOMER), {}, role="app")
    place.good("PUT", path_to("/v1/entities/{t}/{e}", t="company", e=COMPANY), {}, role="app")
    place.good("PUT", path_to("/v1/entities/{t}/{e}/tags/kept", t="customer", e=CUSTOMER), {}, role="app")
    return place
