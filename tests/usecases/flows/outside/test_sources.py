"""The operator's file of sources: what is wrong in it is refused when it is read, and secrets are nowhere in it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from fivefold.domain.errors import ConfigError
from fivefold.domain.settings import Settings, read_settings
from fivefold.usecases.flows.outside import outside_of
from fivefold.usecases.flows.sources import read_sources

Data = dict[str, Any]
SECRETS = {"COMPANIES": "a long secret"}
COMPANIES: Data = {
    "title": "Companies",
    "url": "https://registry.example.com/of/{number}",
    "sends": ["number"],
    "gives": {"status": "/status"},
    "answer": {"type": "object"},
    "secret": {"header": "Authorization", "name": "COMPANIES"},
}
FILE: Data = {"organisations": {"acme": {"hosts": ["registry.example.com"]}}, "sources": {"companies": COMPANIES}}


def written(folder: Path, content: Any) -> Path:
    path = folder / "sources.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def test_an_organisation_has_the_sources_whose_hosts_it_may_ask(tmp_path: Path) -> None:
    settings = Settings(tmp_path, sources_file=written(tmp_path, FILE), secrets=SECRETS)
    assert list(outside_of(settings, "acme").sources) == ["companies"]
    assert list(outside_of(settings, "other").sources) == []
    assert read_sources(None, {}).sources == {}
    for shown in (repr(settings), repr(outside_of(settings, "acme"))):
        assert "a long secret" not in shown


@pytest.mark.parametrize(
    ("parts", "part"),
    [
        ({"url": "http://registry.example.com/"}, "must begin with https"),
        ({"url": "https://{number}.example.com/"}, "the operator alone says which host"),
        ({"url": "https://10.0.0.1/{number}"}, "a public one, or the source must have `private: true`"),
        ({"url": "https://me:word@registry.example.com/{number}"}, ": the URL has a user or a password"),
        ({"url": "https://registry.example.com/{name}"}, "a place for name"),
        ({"answer": {"type": "objekt"}}, "is not a JSON Schema"),
        ({"answer": {"$ref": "https://example.com/schema"}}, "refers to another document"),
        ({"gives": {"status": "status"}}, "gives.status"),
        ({"secret": {"header": "Host", "name": "COMPANIES"}}, "written by fivefold itself"),
        ({"secret": {"header": "X-Key", "name": "OTHER"}}, "FIVEFOLD_SECRET_OTHER must be set"),
        ({"secret": {"header": "X-Key", "name": "COMPANIES", "form": "Key"}}, "must have {secret}"),
        ({"tries": 100}, "tries"),
        ({"seconds": 0}, "seconds"),
        ({"methods": "GET"}, "companies.methods: is not a key here; perhaps method was meant; there are title, url, "),
        (
            {"secret": {"header": "X-Key", "name": "COMPANIES", "from": "Key {secret}"}},
            "companies.secret.from: is not a key here; perhaps form was meant; there are header, name, form",
        ),
    ],
)
def test_what_is_wrong_is_refused_at_its_place(parts: Data, part: str, tmp_path: Path) -> None:
    path = written(tmp_path, {**FILE, "sources": {"companies": {**COMPANIES, **parts}}})
    with pytest.raises(ConfigError) as caught:
        read_sources(path, SECRETS)
    assert part in str(caught.value)
    assert "companies" in str(caught.value)
    assert "a long secret" not in str(caught.value)
    assert "fivefold webhooks" not in str(caught.value)


def test_a_misspelt_key_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    for content, words in (
        ({"source": {}}, "source: is not a key here; perhaps sources was meant; there are organisations, sources, mod"),
        ({"organisations": {"bank": {"host": []}}}, "organisations.bank.host: is not a key here; perhaps hosts was"),
        ({"models": {"m": {"title": "Ours.", "purposes": "aml"}}}, "models.m.purposes: is not a key here; perhaps pur"),
    ):
        with pytest.raises(ConfigError, match=f"the file of sources: {words}"):
            read_sources(written(tmp_path, content), {})


@pytest.mark.parametrize("content", ["[", "[" * 5_000, "- a", "sources: {Companies: {}}", f"a: {'1' * 5_000}"])
def test_a_file_of_another_form_is_refused(content: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the file of sources"):
        read_sources(written(tmp_path, content), {})


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_sources(tmp_path / "none.yaml", {})


@pytest.mark.parametrize("value", ["", "two\nlines", " spaces ", "Größe"])
def test_a_secret_must_be_what_a_header_can_have(value: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="FIVEFOLD_SECRET_COMPANIES"):
        read_sources(written(tmp_path, FILE), {"COMPANIES": value})


def test_settings_name_the_file_the_secrets_and_the_agent(tmp_path: Path) -> None:
    variables = {
        "FIVEFOLD_VAR": str(tmp_path),
        "FIVEFOLD_SOURCES_FILE": str(tmp_path / "sources.yaml"),
        "FIVEFOLD_SECRET_COMPANIES": "a long secret",
        "FIVEFOLD_AGENT_URL": "http://127.0.0.1:8000/v1/",
        "FIVEFOLD_AGENT_MODEL": "small",
        "FIVEFOLD_AGENT_KEY": "the agent's key",
        "FIVEFOLD_AGENT_SECONDS": "7",
    }
    settings = read_settings(variables)
    assert settings.secrets == SECRETS
    assert settings.agent is not None
    assert (settings.agent.url, settings.agent.limit_seconds) == ("http://127.0.0.1:8000/v1", 7)
    assert "the agent's key" not in repr(settings)
    assert read_settings({}).agent is None
    for lacking in ("FIVEFOLD_AGENT_URL", "FIVEFOLD_AGENT_MODEL"):
        with pytest.raises(ConfigError, match="must be set together"):
            read_settings({name: value for name, value in variables.items() if name != lacking})
    with pytest.raises(ConfigError, match="FIVEFOLD_AGENT_KEY"):
        read_settings({**variables, "FIVEFOLD_AGENT_KEY": "two\nlines"})
