"""Actors and their roles: a person, a program with a token, an operator at the machine, or fivefold itself.

`serving.v1.permissions` says which role may send which request.
"""

from dataclasses import dataclass, field
from enum import StrEnum

SYSTEM = "system"
"""The actor of the program itself, without a person's request."""


@dataclass(frozen=True)
class Actor:
    """A person or program that acts, within one organisation.

    Attributes:
        organisation_id: the only organisation that the actor sees or changes.
        name: `member:3` for a person, whatever token they use; `token:12` for a program; `cli:NAME` for an account of
            the machine; `system` for fivefold itself. The audit log has it, and an actor of the same name cannot
            approve what this one requested.
        token_id: the token with which a member acts, and after whose end they can change nothing; None for others.
    """

    organisation_id: int
    name: str
    token_id: int | None = field(default=None, compare=False, repr=False)


class Role(StrEnum):
    """The role of a token, the least powerful first; `app` is for programs, every other role for members."""

    APP = "app"
    COMMERCIAL = "commercial"
    INVESTIGATOR = "investigator"
    APPROVER = "approver"
    PUBLISHER = "publisher"
    ADMIN = "admin"


OF_MEMBERS = frozenset(Role) - {Role.APP}
"""Roles of people: one person requests and another approves, so they must be identified."""
OF_RISK = OF_MEMBERS - {Role.COMMERCIAL}
"""Roles of people who see levels and their data; the others see only the value of customers."""
OF_VERSIONS = frozenset({Role.PUBLISHER, Role.ADMIN})
"""Roles that write and decide on versions of rulesets, policies and flows, and so see every condition and threshold."""
OF_APPROVAL = frozenset({Role.APPROVER, Role.ADMIN})
"""Roles that decide about one entity: its overrides, challenges, and facts that may lower its level."""
