"""The furnished place of `/v1`, asked by the protocol's own client."""

from tests.serving.v1.conftest import furnished, on_postgresql, place

__all__ = ["furnished", "on_postgresql", "place"]
