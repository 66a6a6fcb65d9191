"""Named lists, such as countries; rulesets read them by name."""

from pydantic import Field

from serving.v1.route import Asked
from serving.v1.shapes import Given, Moment, MomentGiven, Shown, Text
from usecases import lists


class ListVersionGiven(Given):
    """A version of a list: its members, and from when on it is in force, later than all versions that are there."""

    since: MomentGiven
    members: list[Text]
    title: Text
    source: Text


class ListVersion(Shown):
    """A version of a list; `members` says how many there are."""

    name: str
    title: str
    source: str
    since: Moment = Field(validation_alias="since_us")
    members: int


class ListPut(Shown):
    """The versions that were added, and how many entities are assessed again by that."""

    versions: list[ListVersion]
    touched: int


def list_lists(asked: Asked) -> list[ListVersion]:
    """List all versions of all lists."""
    return [ListVersion.of(line) for line in lists.list_lists(asked.engine, asked.actor)]


def add_list_version(asked: Asked, name: Text, body: ListVersionGiven) -> ListPut:
    """Add a version of a list; those that are there never change."""
    made = lists.put_list_version(asked.engine, asked.actor, name, body.since, body.members, body.title, body.source)
    return ListPut.of(made)
