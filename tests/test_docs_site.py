"""The pages build into a site without a warning, and the tutorial does what it says."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fivefold.cli.main import app
from fivefold.domain.settings import read_settings
from fivefold.features.indicator_matrix import warm

ROOT = Path(__file__).parents[1]
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A copy of everything that the site is built from."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    (tmp_path / "src").symlink_to(ROOT / "src")
    return tmp_path


def build(site: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "zensical"
    return subprocess.run([program, "build", "--strict"], cwd=site, capture_output=True, text=True, check=False)


@pytest.mark.full
def test_the_site_builds_without_a_warning(site: Path) -> None:
    result = build(site)
    assert result.returncode == 0, result.stdout + result.stderr
    reference = (site / "build" / "site" / "api" / "index.html").read_text(encoding="utf-8")
    assert "read_histories" in reference
    assert "Registry" in reference


@pytest.mark.full
def test_a_link_that_leads_nowhere_is_an_error(site: Path) -> None:
    with (site / "docs" / "tutorial.md").open("a", encoding="utf-8") as page:
        page.write("\n[nothing](nowhere.md)\n")
    assert build(site).returncode != 0


def test_every_page_is_in_the_table_of_contents() -> None:
    contents = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert pages == set(re.findall(r"[\w/-]+\.md", contents))


def test_the_tutorial_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = read_settings().kernels.absolute()
    warm()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FIVEFOLD_VAR", str(tmp_path / "var"))
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "kernels").symlink_to(kernels)
    block = re.search(r"```yaml\n(.*?)```", TUTORIAL, re.DOTALL)
    assert block
    Path("first.yaml").write_text(block[1], encoding="utf-8")
    Path("second.yaml").write_text(block[1].replace("[20, 40]}", "[30, 40]}"), encoding="utf-8")
    output = {}
    for command in re.findall(r"^    fivefold (.*)$", TUTORIAL, re.MULTILINE):
        result = CliRunner().invoke(app, shlex.split(command))
        assert result.exit_code == 0, f"{command}\n{result.output}"
        output[" ".join(command.split()[:2])] = result.output
    assert "no errors or warnings" in output["rules lint"]
    assert "2 examples, 0 failed" in output["rules test"]
    assert "user_000024: medium" in output["rules assess"]
    assert "20, 40 → 30, 40" in output["rules diff"]
    assert re.search(r"user_000024 +medium +low", output["rules backtest"])
