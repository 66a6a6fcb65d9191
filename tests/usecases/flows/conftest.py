"""What tests of flows share: a place to draft them, and a source outside that they ask."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from fivefold.usecases.flows.outside import OutsideAccess
from fivefold.usecases.flows.runs import asking
from fivefold.usecases.flows.sources import DataSource
from tests.store.filling import filled_once
from tests.usecases.decisions.deciding import Desk, opened
from tests.usecases.flows.outside.servers import Got, Said, Server, serving
from tests.usecases.webhooks.certificates import certified

Register = Callable[..., Server]


@pytest.fixture
@filled_once
def desk(engine: Engine) -> Desk:
    return opened(engine)


@pytest.fixture
def register(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Register]:
    """Give what registers a source that answers, with words of its own in place of what it has by default."""

    def says(_: Got) -> Said:
        return Said(b'{"live": true}')

    with certified("localhost", tmp_path, monkeypatch) as context, serving(says, context) as server:

        def registered(**words: Any) -> Server:
            about = {
                "title": "Register",
                "url": f"https://localhost:{server.port}/",
                "method": "POST",
                "sends": ["amount"],
                "gives": {"live": "/live"},
                "answer": {},
                "private": True,
            }
            asked = OutsideAccess(organisation="bank", sources={"register": DataSource.model_validate(about | words)})
            monkeypatch.setattr(asking, "_outside", lambda _: asked)
            return server

        yield registered
