"""Who may ask what: the one table of the platform's routes. docs/security.md shows it, and tests ask all of it."""

from serving.v1 import audit, entities, members, settings
from serving.v1.route import Route
from usecases.roles import OF_MEMBERS, Role

ADMINS = frozenset({Role.ADMIN})
PUBLISHERS = frozenset({Role.PUBLISHER, Role.ADMIN})
"""Whoever writes rulesets; they see all of them, drafts and thresholds too."""
FEEDERS = frozenset({Role.APP, Role.ADMIN})
"""Programs that bring facts in."""
TAGGERS = frozenset({Role.APP, Role.INVESTIGATOR, Role.ADMIN})
READERS = OF_MEMBERS
"""Everybody who is a person."""

_ENTITY = "/v1/entities/{type}/{external_id}"

TABLE: tuple[Route, ...] = (
    Route("POST", "/v1/entities/{type}", FEEDERS, entities.put_entities),
    Route("PUT", _ENTITY, FEEDERS, entities.put_entity),
    Route("PUT", f"{_ENTITY}/tags/{{tag}}", TAGGERS, entities.set_tag),
    Route("DELETE", f"{_ENTITY}/tags/{{tag}}", TAGGERS, entities.end_tag),
    Route("POST", f"{_ENTITY}/screenings", FEEDERS, entities.add_screening),
    Route("PUT", f"{_ENTITY}/cases/{{number}}", FEEDERS, entities.put_case),
    Route("PUT", f"{_ENTITY}/alerts/{{number}}", FEEDERS, entities.put_alert),
    Route("POST", "/v1/transactions", FEEDERS, entities.post_transactions),
    Route("GET", "/v1/settings", READERS, settings.read_settings),
    Route("PUT", "/v1/settings/levels", ADMINS, settings.choose_levels),
    Route("PATCH", "/v1/settings", ADMINS, settings.change_settings),
    Route("GET", "/v1/entity-types", READERS, settings.list_types),
    Route("PUT", "/v1/entity-types/{name}", ADMINS, settings.define_type),
    Route("GET", "/v1/members", ADMINS, members.list_members),
    Route("POST", "/v1/members", ADMINS, members.add_member, 201),
    Route("PUT", "/v1/members/{member}/roles", ADMINS, members.set_roles),
    Route("POST", "/v1/members/{member}/leave", ADMINS, members.leave),
    Route("GET", "/v1/audit", ADMINS, audit.list_entries),
)
