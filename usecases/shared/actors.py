"""Who asks for something: a person, a program with a token, somebody at the machine, or fivefold itself."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Actor:
    """Who acts, within which organisation.

    Attributes:
        organisation_id: nothing of any other is seen or touched.
        name: `member:3` for a person, whatever token they use; `token:12` for a program; `cli:NAME` for an account
            of the machine; `system` for fivefold itself. It is what the audit log says, and whoever has the same name
            cannot approve what they asked for.
    """

    organisation_id: int
    name: str
