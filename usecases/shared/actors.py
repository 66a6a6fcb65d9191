"""Actors and their roles: a person, a program with a token, an operator at the machine, or fivefold itself.

`serving.v1.permissions` says which role may send which request.
"""

from dataclasses import dataclass
from enum import StrEnum

SYSTEM = "system"
"""Who acts where nobody asked: the program itself."""


@dataclass(frozen=True)
class Actor:
    """Who acts, within which organisation.

    Attributes:
        organisation_id: nothing of any other is seen or touched.
        name: `member:3` for a person, whatever token they use; `token:12` for a program; `cli:NAME` for an account
            of the machine; `system` for fivefold itself. The audit log has it, and an actor of the same name
            cannot approve what this one asked for.
    """

    organisation_id: int
    name: str


class Role(StrEnum):
    """What a token is for; an app's belongs to a program, every other one to a member: who may do least comes first."""

    APP = "app"
    COMMERCIAL = "commercial"
    INVESTIGATOR = "investigator"
    APPROVER = "approver"
    PUBLISHER = "publisher"
    ADMIN = "admin"


OF_MEMBERS = frozenset(Role) - {Role.APP}
"""Roles of people: one person asks and another approves, so it must be known who they are."""
OF_RISK = OF_MEMBERS - {Role.COMMERCIAL}
"""Roles of people who see levels, and what levels are made of; the others see what customers are worth, and no more."""
