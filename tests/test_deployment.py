"""The files for containers name what there is: folders, commands, variables; the lock becomes a bill of materials."""

import importlib.metadata
import importlib.util
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
CONTAINERFILE = (ROOT / "Containerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))


def test_the_image_has_every_package_and_no_development_tools() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    copied = set(re.findall(r"^COPY ([a-z]+) \1$", CONTAINERFILE, re.MULTILINE))
    assert copied == set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    script = (ROOT / "deploy" / "install.sh").read_text(encoding="utf-8")
    assert "'.[all]'" in script
    assert "all" in project["project"]["optional-dependencies"]
    subprocess.run(["sh", "-n", str(ROOT / "deploy" / "install.sh")], check=True)


def test_containers_run_without_rights_on_a_root_that_is_read_only() -> None:
    assert "\nUSER 10001:10001\n" in CONTAINERFILE
    assert "HEALTHCHECK" in CONTAINERFILE
    for name in ("service", "worker"):
        one = COMPOSE["services"][name]
        assert (one["read_only"], one["cap_drop"], one["tmpfs"]) == (True, ["ALL"], ["/tmp"])
        assert "ports" not in one, "the proxy publishes"
    assert COMPOSE["services"]["worker"]["command"] == ["fivefold", "worker"]


def test_every_variable_is_one_that_the_program_or_the_page_names() -> None:
    known = (ROOT / "README.md").read_text(encoding="utf-8") + (ROOT / "docs" / "deployment.md").read_text(
        encoding="utf-8"
    )
    written = CONTAINERFILE + (ROOT / "compose.yaml").read_text(encoding="utf-8")
    for name in sorted(set(re.findall("FIVEFOLD_[A-Z_]+", written))):
        assert name in known, name


def test_a_lock_becomes_a_bill_of_materials() -> None:
    spec = importlib.util.spec_from_file_location("sbom", ROOT / "deploy" / "sbom.py")
    assert spec is not None
    assert spec.loader is not None
    sbom: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sbom)
    first, second = ("    --hash=sha256:" + digit * 64 for digit in "01")
    lock = f"a-b==1.2 \\\n{first} \\\n{second}\nc[extra]==3 ; python_version > '3'\n"
    bill = sbom.bill_of(lock)
    found = [(each["purl"], len(each["properties"])) for each in bill["components"]]
    assert found == [("pkg:pypi/a-b@1.2", 2), ("pkg:pypi/c@3", 0)]


def pins_of(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text(encoding="utf-8").split()
    return {canonicalize_name(package): version for package, _, version in (line.partition("==") for line in lines)}


def needs_of_serving() -> set[str]:
    """What `serve` needs on the oldest Python, as pyproject.toml and the installed packages say."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest = {"python_version": "3.11", "python_full_version": "3.11.0"}
    found: set[str] = set()
    waiting = [Requirement("fivefold[serve]")]
    followed: set[tuple[str, str]] = set()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        for extra in ("", *wanted.extras):
            if (name, extra) in followed:
                continue
            followed.add((name, extra))
            if name == "fivefold":
                needs = project["optional-dependencies"][extra] if extra else project["dependencies"]
            else:
                found.add(name)
                needs = importlib.metadata.distribution(name).requires or []
            each = [Requirement(need) for need in needs]
            waiting += [one for one in each if not one.marker or one.marker.evaluate({**oldest, "extra": extra})]
    return found


def test_the_bento_installs_what_serving_needs_and_nothing_else() -> None:
    pins, listed = pins_of("constraints.txt"), pins_of("deploy/requirements.txt")
    assert {name: version for name, version in listed.items() if pins.get(name) != version} == {}, "make requirements"
    assert set(listed) == needs_of_serving(), "make requirements"
