"""All tools, in the order in which they are listed, and those of one who holds a token."""

from fivefold.serving.mcp.changing import CHANGING
from fivefold.serving.mcp.reading import READING
from fivefold.serving.mcp.tool import Tool
from fivefold.usecases.accounts.credentials import Credential

TOOLS: tuple[Tool, ...] = (*READING, *CHANGING)


def tools_of(credential: Credential) -> list[Tool]:
    """List the tools that are there for who holds a token."""
    return [tool for tool in TOOLS if tool.is_for(credential)]
