"""The documentation says what is so: pages, links, commands, options and examples are there."""

import os
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from fivefold.cli.main import app
from fivefold.features import schema as c
from fivefold.features.catalogue_page import catalogue_markdown

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))

LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^(?:\$ )?(?:\.venv/bin/)?fivefold (?P<rest>[a-z].*)$")
MACHINE_PATH = re.compile(r"(?<![\w.])(?:/work|/home|/root|/tmp|/Users|/mnt|/var/folders)/|\b[A-Z]:\\")
OUR_FILE = re.compile(
    r"(?<![\w/.-])(?:docs|deploy|benchmarks|tests|client|domain|charts|features|models|risk|flows|store|training|usecases|"
    r"serving|console|notebook|cli)/[\w./-]*\w\.(?:md|py|yaml|svg)\b"
)

pytestmark = pytest.mark.filterwarnings("error")


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@cache
def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose(page: Path) -> str:
    return FENCE.sub("", text(page))


def code(page: Path) -> list[str]:
    """Inline code, and the lines of code blocks: fenced, or four spaces in."""
    blocks = [line for block in FENCE.findall(text(page)) for line in block.splitlines()[1:-1]]
    indented = [line for line in prose(page).splitlines() if line.startswith("    ")]
    return [*CODE.findall(prose(page)), *(line.strip() for line in [*blocks, *indented])]


def commands(page: Path) -> list[str]:
    """What follows `fivefold` in code; the name of the project in prose is none."""
    found = [COMMAND.match(line) for line in code(page)]
    return [match["rest"] for match in found if match]


@cache
def root() -> Any:
    return typer.main.get_command(app)


def without_a_place(command: Any, words: list[str]) -> list[str]:
    """Return the words that are no option, no value of one and more than the command takes."""
    flags = [option for option in command.params if getattr(option, "is_flag", False)]
    switches = {"--help", *(flag for option in flags for flag in [*option.opts, *option.secondary_opts])}
    alone, previous = [], ""
    for word in words:
        is_value = previous.startswith("-") and previous not in switches and "=" not in previous
        if not word.startswith(("-", "[-")) and not is_value:
            alone.append(word)
        previous = word.strip("[]")
    places = [option.nargs for option in command.params if option.param_type_name == "argument"]
    return [] if -1 in places else alone[sum(places) :]


def wrong(command: str) -> Iterator[str]:
    """Say what a command line asks for that there is not."""
    words = shlex.split(re.split(r"\s[>|&]|\s#\s|\\\s*$", f"{command} ")[0])
    made = root()
    while hasattr(made, "commands"):
        word = words.pop(0) if words else "--help"
        if word == "--help":
            return
        if word not in made.commands:
            yield f"no command {word!r}"
            return
        made = made.commands[word]
    known = {"--help", *(flag for option in made.params for flag in [*option.opts, *option.secondary_opts])}
    asked = [word.partition("=")[0].strip("[]") for word in words]
    yield from (f"`{made.name}` has no option {word}" for word in asked if word.startswith("-") and word not in known)
    yield from (f"`{made.name}` has no place for {word!r}" for word in without_a_place(made, words))


def anchor(heading: str) -> str:
    """A heading's address on GitHub."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def test_the_catalogue_page_is_current() -> None:
    assert text(ROOT / "docs" / "indicators.md") == catalogue_markdown(), (
        "run: .venv/bin/fivefold indicators --markdown > docs/indicators.md"
    )


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, heading = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        headings = re.findall(r"^#+ (.*)$", text(target), re.MULTILINE) if heading and target.is_file() else []
        if not target.exists() or (heading and heading not in {anchor(found) for found in headings}):
            dead.append(link)
    assert not dead


def test_pages_of_the_site_link_to_pages_of_the_site() -> None:
    """The site has what is in docs/ alone: elsewhere a link from there leads nowhere."""
    site = ROOT / "docs"
    linked = [(page, link) for page in PAGES if site in page.parents for link in LINK.findall(prose(page))]
    away = [(name(page), link) for page, link in linked if not re.match(r"#|[a-z]+:", link)]
    assert not [each for each in away if site not in ((ROOT / each[0]).parent / each[1]).resolve().parents]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_and_their_options_are_there(page: Path) -> None:
    found = {command: list(wrong(command)) for command in commands(page)}
    assert not {command: problems for command, problems in found.items() if problems}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_code_blocks_name_one_language_at_most(page: Path) -> None:
    """The site takes a second word for text, and what follows up to the next block for code."""
    assert re.findall(r"^```\w+ .*$", text(page), re.MULTILINE) == []


def test_a_wrong_command_is_seen() -> None:
    assert list(wrong("frobnicate x")) == ["no command 'frobnicate'"]
    assert list(wrong("score FILE --output=a.csv --percent 3  # why")) == ["`score` has no option --percent"]
    assert list(wrong("train rows.parquet --config a.yaml")) == ["`train` has no place for 'rows.parquet'"]
    assert list(wrong("realised a.csv b.csv --data [rows.parquet]")) == []
    assert list(wrong("tokens frobnicate")) == ["no command 'frobnicate'"]
    assert list(wrong("indicators --markdown > docs/indicators.md")) == []
    assert len(commands(ROOT / "README.md")) >= 10


def test_every_command_is_in_the_readme_or_in_the_changelog() -> None:
    told = text(ROOT / "README.md") + text(ROOT / "CHANGELOG.md")
    assert not [command for command in root().commands if not re.search(rf"\b{command}\b", told)]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_make_targets_are_there(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", text(ROOT / "Makefile"), re.MULTILINE))
    asked = {match[1] for line in code(page) if (match := re.match(r"make ([a-z]+)\b", line))}
    assert asked <= targets


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_page_names_a_place_on_somebodys_machine(page: Path) -> None:
    assert not [line for line in text(page).splitlines() if MACHINE_PATH.search(line)]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_that_a_page_names_are_there(page: Path) -> None:
    assert not [path for path in OUR_FILE.findall(text(page)) if not (ROOT / path).exists()]


def test_pages_that_the_source_names_are_there() -> None:
    sources = [*ROOT.glob("*/**/*.py"), ROOT / "Makefile"]
    ours = [path for path in sources if not path.relative_to(ROOT).parts[0].startswith((".", "var", "tests"))]
    named = {(name(path), page) for path in ours for page in re.findall(r"\bdocs/[\w./-]+\.md\b", text(path))}
    assert not [pair for pair in sorted(named) if not (ROOT / pair[1]).exists()]


def test_decisions_are_numbered_and_titled_alike() -> None:
    """Numbers follow one another, and the title repeats the file's own."""
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    for page in DECISIONS:
        assert re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", page.name)
        assert text(page).startswith(f"# {int(page.name[:4])}. ")


def test_decisions_are_found_from_the_architecture() -> None:
    index = text(ROOT / "docs" / "decisions" / "README.md")
    assert [page.name for page in DECISIONS] == re.findall(r"^\d+\. \[.*\]\((.*)\)$", index, re.MULTILINE)
    assert "decisions/README.md" in LINK.findall(text(ROOT / "docs" / "architecture.md"))


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached and page.exists():
            reached.add(page)
            links = [link.partition("#")[0] for link in LINK.findall(text(page)) if not re.match(r"[a-z]+:", link)]
            waiting += [(page.parent / link).resolve() for link in links if link.endswith(".md")]
    assert not [name(page) for page in PAGES if page not in reached]


def test_the_page_of_the_value_model_lists_the_columns() -> None:
    page = text(ROOT / "docs" / "value-model.md")
    assert set(c.COLUMNS) <= set(re.findall(r"^\| `([a-z_]+)` \|", page, re.MULTILINE))
    assert {word for word in re.findall(r"\b[A-Z]{6,}\b", page) if word in c.STATES} == set(c.STATES)


def test_the_readme_lists_the_variables() -> None:
    """One by one, or as `FIVEFOLD_LIMIT_BYTES`, `_ROWS`."""
    read = set(re.findall(r"\bFIVEFOLD_[A-Z_]+\b", text(ROOT / "domain" / "settings.py")))
    listed: set[str] = set()
    for line in text(ROOT / "README.md").splitlines():
        listed |= (whole := set(re.findall(r"`(FIVEFOLD_[A-Z_]+)`", line)))
        endings = re.findall(r"`(_[A-Z]+)`", line)
        listed |= {variable.rpartition("_")[0] + ending for variable in whole for ending in endings}
    assert listed == read


def test_the_site_has_the_variables_of_the_readme() -> None:
    """The table of the README is the definition; links are as seen from docs/."""
    table = re.search(r"^\| variable \|.*?(?=^$)", text(ROOT / "README.md"), re.MULTILINE | re.DOTALL)
    assert table
    page = ROOT / "docs" / "variables.md"
    before, start, _ = text(page).partition("| variable |")
    now = before + table[0].replace("](docs/", "](")
    if os.environ.get("FIVEFOLD_GOLDEN") == "write":
        page.write_text(now, encoding="utf-8")
        text.cache_clear()
    assert start
    assert text(page) == now, "FIVEFOLD_GOLDEN=write writes it anew"


def test_the_changelog_knows_this_version() -> None:
    version = re.search(r'^version = "(.+)"$', text(ROOT / "pyproject.toml"), re.MULTILINE)
    assert version
    assert re.search(rf"^## {re.escape(version[1])}\b", text(ROOT / "CHANGELOG.md"), re.MULTILINE)


def test_the_example_of_a_new_indicator_works() -> None:
    """The lines of CONTRIBUTING.md, run where they say they belong."""
    from fivefold.features.indicators import volume

    example = re.search(r"^```python\n(.*?)^```$", text(ROOT / "CONTRIBUTING.md"), re.MULTILINE | re.DOTALL)
    assert example
    names = dict(vars(volume))
    exec(example[1], names)
    made = names["small_deposit_count"]
    assert [indicator.name for indicator in made.indicators] == ["small_deposit_count_30d", "small_deposit_count_90d"]
    assert made([5.0, 5.0, 50.0, 5.0], [c.DEPOSIT, c.DEPOSIT, c.DEPOSIT, c.WITHDRAWAL], 1) == 1.0
    assert len(example[1].splitlines()) < 10
