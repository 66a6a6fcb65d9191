"""The reply to a challenge, to be taken away as PDF or JSON; that it was given is recorded."""

from typing import Final

from pydantic import TypeAdapter

from fivefold.usecases.recourse.reply import Reply

_JSON: Final = TypeAdapter(Reply)


def json_of_reply(reply: Reply) -> bytes:
    """Write a reply as JSON, moments as ISO 8601."""
    return _JSON.dump_json(reply, by_alias=True, indent=2)
