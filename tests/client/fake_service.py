"""A service that replies as a test tells it, and clients that call it."""

from typing import Any

import httpx

from fivefold.client import (
    Client,
)

TOKEN = "a-token-that-nobody-prints"
TAKEN = {"new": 1, "changed": 0, "same": 0}
Reply = httpx.Response | httpx.TransportError


class Service(httpx.BaseTransport):
    """Answers as it is told, one reply after another, and keeps what it was asked."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.asked: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        reply = self.replies.pop(0)
        if isinstance(reply, httpx.TransportError):
            raise reply
        return reply

    @property
    def keys(self) -> set[str | None]:
        return {request.headers.get("Idempotency-Key") for request in self.asked}


def answer(status: int = 200, body: Any = None, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json=body, headers=named)


def refused(status: int, detail: str = "no", **headers: str) -> httpx.Response:
    return answer(status, [{"detail": detail}], **headers)


def client(service: Service, **settings: Any) -> Client:
    return Client("http://service.test/", TOKEN, transport=service, **settings)


def put(asking: Client, **more: Any) -> Any:
    return asking.entities.put("customer", "c1", {"country": "NO"}, **more)


def score(asking: Client) -> Any:
    return asking.scoring.score([{"user_id": "a"}])


def read(asking: Client) -> Any:
    return asking.rulesets.version("retail", 1)
