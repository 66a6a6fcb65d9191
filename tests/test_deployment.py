"""The files for containers name what there is: folders, commands, variables; the lock becomes a bill of materials."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.utils import canonicalize_name
from uvicorn import Config

from fivefold.domain.settings import read_settings
from tests.extras import needs_of

ROOT = Path(__file__).parents[1]
CONTAINERFILE = (ROOT / "Containerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))


def script_of(name: str) -> Any:
    """Import a script of the folder deploy, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "deploy" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def test_the_image_has_every_package_and_no_development_tools() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    copied = set(re.findall(r"^COPY ([a-z]+) \1$", CONTAINERFILE, re.MULTILINE))
    assert copied == {"src", *(link.name for link in (ROOT / "src" / "fivefold").iterdir() if link.is_symlink())}
    assert "all" in project["project"]["optional-dependencies"]


def installations(folder: Path) -> list[list[str]]:
    """Run the image's installation in *folder* with a uv that only notes what it is asked for."""
    uv = folder / "environment" / "bin" / "uv"
    uv.parent.mkdir(parents=True)
    uv.write_text('#!/bin/sh\necho "$@" >> asked\n', encoding="utf-8")
    uv.chmod(0o755)
    script = ["sh", str(ROOT / "deploy" / "install.sh"), str(uv.parents[1])]
    subprocess.run(script, cwd=folder, check=True)
    return [line.split() for line in (folder / "asked").read_text(encoding="utf-8").splitlines()]


def test_without_a_lock_the_image_takes_the_versions_of_the_constraints(tmp_path: Path) -> None:
    (asked,) = installations(tmp_path)
    assert asked[-3:] == ["--constraint", "constraints.txt", ".[all]"]
    assert "--compile-bytecode" in asked


def test_with_a_lock_each_package_of_the_image_has_a_hash(tmp_path: Path) -> None:
    (tmp_path / "runtime.lock").touch()
    packages, ours = installations(tmp_path)
    assert packages[-3:] == ["--require-hashes", "-r", "runtime.lock"]
    assert ours[-2:] == ["--no-deps", "."]
    assert "runtime.loc[k]" in CONTAINERFILE


def test_the_stages_can_be_followed_without_an_engine() -> None:
    rehearse = script_of("rehearse")
    build, image = rehearse.stages_of(CONTAINERFILE)
    assert (build.name, build.steps[-1]) == ("build", ("RUN", "sh deploy/install.sh /opt/fivefold"))
    assert (image.account, image.command[:2]) == ("10001:10001", ["fivefold", "serve"])
    assert image.environment["PATH"].startswith("/opt/fivefold/bin:/usr/local/bin")
    assert image.environment["FIVEFOLD_VAR"] == "/data"
    with pytest.raises(ValueError, match="ADD is not an instruction"):
        rehearse.stages_of("FROM a\nADD b c\n")


def test_a_rehearsal_is_built_anew_and_never_over_an_earlier_one(tmp_path: Path) -> None:
    """Else the base would be copied into the stage that is there, and what the sources lack by now would stay."""
    base, folder = tmp_path / "base", tmp_path / "rehearsal"
    for each in (base, folder / "build"):
        each.mkdir(parents=True)
    with pytest.raises(SystemExit, match="rehearsal is there already; remove it"):
        script_of("rehearse").build(base, folder)
    assert not any((folder / "build").iterdir())


def test_a_worker_is_asked_for_its_health_where_the_image_asks() -> None:
    worker = COMPOSE["services"]["worker"]
    port = worker["command"][worker["command"].index("--health-port") + 1]
    assert f"http://127.0.0.1:{port}/livez" in CONTAINERFILE


def test_service_and_worker_have_the_images_health_check_though_podman_builds_without_it() -> None:
    """An image in the OCI format, which is podman's, has none."""
    found = re.search(r"^HEALTHCHECK (.+?) \\\n +CMD (\[.+\])$", CONTAINERFILE, re.MULTILINE)
    assert found is not None
    options = dict(option.removeprefix("--").split("=") for option in found[1].split())
    of_image = {name.replace("-", "_"): value for name, value in options.items()}
    of_image["test"] = ["CMD", *json.loads(found[2])]
    assert [COMPOSE["services"][name]["healthcheck"] for name in ("service", "worker")] == [of_image] * 2


def test_what_the_containers_name_is_there() -> None:
    services = COMPOSE["services"]
    mounted: set[str] = set()
    for name, service in services.items():
        waits = service.get("depends_on", [])
        conditions = waits if isinstance(waits, dict) else {each: {"condition": "service_started"} for each in waits}
        for other, wanted in conditions.items():
            assert other in services, name
            healthy = wanted["condition"] == "service_healthy"
            assert healthy <= ("healthcheck" in services[other]), f"{name} would wait for {other} for ever"
        for source, target in (volume.split(":")[:2] for volume in service["volumes"]):
            assert target.startswith("/"), name
            if source.startswith("./"):
                assert (ROOT / source).is_file(), name
            else:
                mounted.add(source)
        assert re.fullmatch(r"[0-9]+s", service.get("stop_grace_period", "10s")), name
    assert mounted == set(COMPOSE["volumes"])


def test_the_proxy_of_compose_is_believed() -> None:
    (network,) = COMPOSE["networks"]["default"]["ipam"]["config"]
    assert COMPOSE["services"]["service"]["environment"]["FIVEFOLD_TRUSTED_PROXIES"] == network["subnet"]


def test_agents_reach_the_service_by_the_name_of_the_proxy() -> None:
    for name in ("service", "worker"):
        one = COMPOSE["services"][name]
        assert one["environment"]["FIVEFOLD_MCP_HOSTS"] == COMPOSE["services"]["proxy"]["environment"]["FIVEFOLD_HOST"]
        assert one["env_file"] == [{"path": "fivefold.env", "required": False}]


def test_a_pod_has_as_long_to_start_as_a_container() -> None:
    page = (ROOT / "docs" / "proxies.md").read_text(encoding="utf-8")
    ingress, probes, command = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.+?)```", page, re.DOTALL))
    (tls,) = ingress["spec"]["tls"]
    assert tls["hosts"] == [rule["host"] for rule in ingress["spec"]["rules"]]
    start = probes["startupProbe"]
    allowed = COMPOSE["services"]["worker"]["healthcheck"]["start_period"]
    assert f"{start['periodSeconds'] * start['failureThreshold']}s" == allowed
    assert start["httpGet"] == probes["livenessProbe"]["httpGet"]
    assert command["command"] == COMPOSE["services"]["worker"]["command"]
    assert command["command"][-1] == str(start["httpGet"]["port"])


def test_proxies_pass_on_the_same_paths_and_let_go_of_connections_before_the_service() -> None:
    nginx, caddy = ((ROOT / "deploy" / name).read_text(encoding="utf-8") for name in ("nginx.conf", "Caddyfile"))
    (location,) = re.findall(r"location ~ (\S+) \{", nginx)
    (globs,) = re.findall(r"@service path (.+)", caddy)
    inside = ["/metrics", "/livez", "/healthz", "/readyz", "/readyz/v1", "/v2/scoring"]
    outside = ["/", "/docs", "/docs/fivefold.css", "/openapi.json", "/v1/decisions", "/v4/scoring", "/mcp"]
    home = (ROOT / "serving" / "static" / "home.html").read_text(encoding="utf-8")
    outside += re.findall(r'href="(.+?)"', home)
    for path in inside + outside:
        passed = path in outside
        assert bool(re.match(location, path)) == passed, path
        assert any(fnmatch(path, glob) for glob in globs.split()) == passed, path
    kept = re.findall(r"keepalive(?:_timeout)? (\d+)s", nginx + caddy)
    assert [int(seconds) < Config(app="").timeout_keep_alive for seconds in kept] == [True, True]


def test_caddy_gives_a_slow_body_up_later_than_the_service_does_and_logs_no_token() -> None:
    """Where Caddy gives it up first, it answers 200 with nothing in it, though nothing was stored."""
    caddy = (ROOT / "deploy" / "Caddyfile").read_text(encoding="utf-8")
    (seconds,) = re.findall(r"read_body (\d+)s", caddy)
    assert int(seconds) > read_settings({}).limits.seconds
    assert "request>headers>Token delete" in caddy


@pytest.mark.skipif(shutil.which("caddy") is None, reason="there is no Caddy here")
def test_caddy_takes_the_file_and_the_lines_for_several_services() -> None:
    shipped = (ROOT / "deploy" / "Caddyfile").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "proxies.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"```caddyfile\n(.+?)```", page, re.DOTALL)
    one = "reverse_proxy service:3000 {\n"
    assert shipped.count(one) == 1
    environment = {"FIVEFOLD_HOST": "scores.example", "PATH": os.environ["PATH"]}
    for text in (shipped, shipped.replace(one, lines)):
        command = ["caddy", "adapt", "--adapter", "caddyfile", "--config", "/dev/stdin"]
        done = subprocess.run(command, check=False, input=text, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        site = json.loads(done.stdout)["apps"]["http"]["servers"]["srv0"]
        assert site["routes"][0]["match"] == [{"host": ["scores.example"]}]


def test_containers_run_without_rights_on_a_root_that_is_read_only() -> None:
    assert "\nUSER 10001:10001\n" in CONTAINERFILE
    assert "HEALTHCHECK" in CONTAINERFILE
    for name in ("service", "worker"):
        one = COMPOSE["services"][name]
        assert (one["read_only"], one["cap_drop"], one["tmpfs"]) == (True, ["ALL"], ["/tmp"])
        assert "ports" not in one, "the proxy publishes"
    assert COMPOSE["services"]["worker"]["command"][:2] == ["fivefold", "worker"]


def test_every_variable_is_one_that_the_program_or_the_page_names() -> None:
    known = (ROOT / "README.md").read_text(encoding="utf-8") + (ROOT / "docs" / "deployment.md").read_text(
        encoding="utf-8"
    )
    written = CONTAINERFILE + (ROOT / "compose.yaml").read_text(encoding="utf-8")
    for name in sorted(set(re.findall("FIVEFOLD_[A-Z_]+", written))):
        assert name in known, name


def test_a_lock_becomes_a_bill_of_materials() -> None:
    sbom = script_of("sbom")
    first, second = ("    --hash=sha256:" + digit * 64 for digit in "01")
    lock = f"a-b==1.2 \\\n{first} \\\n{second}\nc[extra]==3 ; python_version > '3'\n"
    bill = sbom.bill_of(lock)
    found = [(each["purl"], len(each["properties"])) for each in bill["components"]]
    assert found == [("pkg:pypi/a-b@1.2", 2), ("pkg:pypi/c@3", 0)]


def pins_of(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text(encoding="utf-8").split()
    return {canonicalize_name(package): version for package, _, version in (line.partition("==") for line in lines)}


def test_the_bento_installs_what_serving_needs_and_nothing_else() -> None:
    pins, listed = pins_of("constraints.txt"), pins_of("deploy/requirements.txt")
    assert {name: version for name, version in listed.items() if pins.get(name) != version} == {}, "make requirements"
    assert set(listed) == needs_of("serve"), "make requirements"
