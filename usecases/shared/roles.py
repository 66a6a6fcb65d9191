"""Roles: what a token may be for. `serving.v1.permissions` says which of them may ask what."""

from enum import StrEnum


class Role(StrEnum):
    """What a token is for; an app's belongs to a program, every other one to a member."""

    APP = "app"
    INVESTIGATOR = "investigator"
    APPROVER = "approver"
    PUBLISHER = "publisher"
    ADMIN = "admin"


OF_MEMBERS = frozenset(Role) - {Role.APP}
"""Roles of people. Whoever asks is never whoever approves, so it must be known who they are."""
