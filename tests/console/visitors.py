"""A person with a browser that runs no script: keeps cookies, follows links, fills in forms."""

import asyncio
import re
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from typing import Any, Self

import httpx
import pytest
from fastapi import FastAPI

from fivefold.domain.errors import LockedError
from fivefold.serving.console import Console, add_console
from fivefold.serving.error_middleware import ErrorMiddleware
from fivefold.usecases.levels import read
from tests.serving.v1.models.registries import registry
from tests.serving.v1.places import LIMITS, OURS, PLANS, Place

ORIGIN = "https://bank.example"


@cache
def pages() -> tuple[FastAPI, Console]:
    """The pages, made once: a place puts its database in."""
    app, console = FastAPI(openapi_url=None), Console(None, lambda: None, PLANS, registry)  # type: ignore[arg-type]  # set before each use
    add_console(app, console)
    return app, console


@dataclass
class Form:
    """A form of a page: where it goes, and what is in its fields."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)


class _Forms(HTMLParser):
    """Reads the forms of a page, and its links."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form" and values.get("method") == "post":
            self.forms.append(Form(values["action"]))
        elif values.get("type") in {"checkbox", "radio"} and "checked" not in values:
            pass
        elif tag == "input" and self.forms and "name" in values:
            self.forms[-1].fields[values["name"]] = values.get("value", "")
        elif tag == "a":
            self.links.append(values["href"])


class _FilledForms(HTMLParser):
    """Fills in the forms of a page: ticks boxes, chooses first options, writes a word into what is empty."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []
        self._fields: dict[str, str] | None = None
        self._select = self._option = self._area = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        name = values.get("name", "")
        if tag == "form":
            self._fields = {} if values.get("method") == "post" else None
            if self._fields is not None:
                self.forms.append((values["action"], self._fields))
        if self._fields is None:
            return
        if tag == "button" and "formaction" in values:
            self.forms.append((values["formaction"], self._fields))
        if tag == "button" and name:
            self._fields.setdefault(name, values.get("value", ""))
        elif tag == "input" and name and values.get("type") != "date":
            self._fields.setdefault(name, values.get("value") or "1")
        elif tag == "textarea":
            self._area = name
            self._fields[name] = ""
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select:
            self._fields[self._select] = values.get("value", "")
            self._option, self._select = "" if "value" in values else self._select, ""

    def handle_data(self, data: str) -> None:
        if self._fields is not None and (self._area or self._option):
            self._fields[self._area or self._option] += data.lstrip("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._fields = None
        elif tag == "textarea":
            self._area = ""
        elif tag in {"option", "select"}:
            self._option = ""


def filled_forms(page: str) -> list[tuple[str, dict[str, str]]]:
    """The forms of a page that change something: where each goes, or a button of it, and its fields, filled in."""
    reader = _FilledForms()
    reader.feed(page)
    return reader.forms


@dataclass
class Visitor:
    """A person; `page` is the answer that they see."""

    place: Place
    cookies: httpx.Cookies = field(default_factory=httpx.Cookies)
    page: httpx.Response = field(default_factory=lambda: httpx.Response(204))

    def send(self, method: str, address: str, **more: Any) -> Self:
        """Send one request, and keep its answer and its cookies."""
        app, console = pages()
        console._engine = self.place.engine
        edge = ErrorMiddleware(app, self.place.watching, LIMITS.seconds)  # type: ignore[arg-type]  # stands in

        async def answered() -> httpx.Response:
            transport = httpx.ASGITransport(edge)
            async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, cookies=self.cookies) as client:
                answer = await client.request(method, address, **more)
                self.cookies = client.cookies
                return answer

        self.page = asyncio.run(answered())
        return self

    def go(self, address: str) -> Self:
        """Open a page, and follow where it leads."""
        self.send("GET", address)
        while self.page.status_code == 303:
            self.send("GET", self.page.headers["location"])
        return self

    def post(self, address: str, fields: dict[str, str], origin: str = ORIGIN) -> Self:
        """Send a form as it is, and follow where it leads."""
        self.send("POST", address, data=fields, headers={"origin": origin})
        return self.go(self.page.headers["location"]) if self.page.status_code == 303 else self

    def submit(self, action: str, **typed: str) -> Self:
        """Fill in the form of this page that goes to an action, and send it."""
        forms = [form for form in self.forms() if form.action.partition("?")[0].endswith(action)]
        assert forms, f"no form goes to {action}: {[form.action for form in self.forms()]}"
        return self.post(forms[0].action, {**forms[0].fields, **typed})

    def sign_in(self, role: str, organisation: str = OURS) -> Self:
        """Sign in with the token of the person who has a role."""
        return self.go("/console/sign-in").submit("/sign-in", token=self.place.tokens[organisation, role])

    def forms(self) -> list[Form]:
        """The forms of the page."""
        return self._read().forms

    def links(self) -> list[str]:
        """The links of the page."""
        return self._read().links

    def _read(self) -> _Forms:
        reader = _Forms()
        reader.feed(self.page.text)
        return reader

    @property
    def text(self) -> str:
        """What is to be read on the page, in one line."""
        body = re.sub(r"(?s)<head>.*</head>|<template\b.*?</template>", "", self.page.text)
        return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def send_text(visitor: Visitor, action: str, text: str, **typed: str) -> Visitor:
    """Send the form of an editor of texts by one of its buttons."""
    form = next(form for form in visitor.forms() if form.action.endswith("/check"))
    return visitor.post(form.action.removesuffix("check") + action, {**form.fields, "document": text, **typed})


def levels_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no page compute a level, as while another transaction holds the database."""

    def locked(*_: object, busy_seconds: float, **__: object) -> None:
        raise LockedError(f"another transaction held a lock for {busy_seconds} seconds")

    monkeypatch.setattr(read, "assess_now", locked)
