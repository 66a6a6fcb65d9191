# ruff: noqa: INP001, S603, S606, S607 (a script, run by its path; it starts the system's own programs)
"""Builds and runs the image of the Containerfile without a container engine: each stage in a folder, by chroot.

usage, as root, on Linux:
    python deploy/rehearse.py build BASE FOLDER           BASE has Debian with Python in /usr/local, as the base image
    python deploy/rehearse.py run FOLDER [COMMAND ...]    as the image's account, on a root that is read-only

`build` does what the Containerfile says, line by line; `run` takes its ENV, USER and CMD, and the FIVEFOLD_ variables
of this process. The network is this machine's. What pip and uv read from the environment is passed on to the stages.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SYSTEM_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class Stage:
    """One stage: its name, what it does, and what the container that comes of it starts with."""

    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": SYSTEM_PATH})
    account: str = "0:0"
    command: list[str] = field(default_factory=list)


def stages_of(text: str) -> list[Stage]:
    """Read a Containerfile; ValueError for an instruction that this script does not know."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    stages: list[Stage] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            _, _, name = rest.partition(" AS ")
            stages.append(Stage(name or "image"))
        elif word in {"COPY", "RUN", "WORKDIR"}:
            stages[-1].steps.append((word, rest.strip()))
        elif word == "ENV":
            known = stages[-1].environment
            pairs = (pair.partition("=") for pair in shlex.split(rest))
            known |= {name: value.replace("$PATH", known["PATH"]) for name, _, value in pairs}
        elif word == "USER":
            stages[-1].account = rest.strip()
        elif word == "CMD":
            stages[-1].command = json.loads(rest)
        elif word not in {"VOLUME", "EXPOSE", "HEALTHCHECK"}:
            raise ValueError(f"Containerfile: {word} is not an instruction that {Path(__file__).name} can follow")
    return stages


def build(base: Path, folder: Path) -> None:
    """Build every stage into a folder of its own; SystemExit where the folder is there: old files would stay."""
    if folder.exists():
        raise SystemExit(f"{folder} is there already; remove it, or give a folder that is not there yet")
    for stage in stages_of((ROOT / "Containerfile").read_text(encoding="utf-8")):
        root, here = folder / stage.name, "/"
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "--archive", str(base), str(root)], check=True)
        for name in ("resolv.conf", "hosts"):  # an engine gives these too
            shutil.copyfile(f"/etc/{name}", root / "etc" / name)
        given = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_"))}
        for word, rest in stage.steps:
            print(stage.name, word, rest, flush=True)  # noqa: T201 (says where it is)
            if word == "WORKDIR":
                here = rest
                (root / here.lstrip("/")).mkdir(parents=True, exist_ok=True)
            elif word == "COPY":
                _copy(shlex.split(rest), folder, root / here.lstrip("/"), root)
            else:
                command = ["chroot", str(root), "sh", "-ec", f"cd {here}; {rest}"]
                subprocess.run(command, check=True, env=stage.environment | given)


def _copy(words: list[str], folder: Path, here: Path, root: Path) -> None:
    source = ROOT
    if words[0].startswith("--from="):
        source = folder / words.pop(0).removeprefix("--from=")
    *names, target = words
    for one in [found for name in names for found in sorted(source.glob(name.lstrip("/")))]:
        to = root / target.lstrip("/") if target.startswith("/") else here / target
        if one.is_dir():
            ignored = shutil.ignore_patterns("__pycache__") if source == ROOT else None  # as .containerignore says
            shutil.copytree(one, to, symlinks=True, dirs_exist_ok=True, ignore=ignored)
        else:
            to = to / one.name if target.endswith("/") else to
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(one, to)


def run(folder: Path, words: list[str]) -> None:
    """Run a command, by default the image's own, as `read_only` and `cap_drop` of compose.yaml would have it run."""
    image = stages_of((ROOT / "Containerfile").read_text(encoding="utf-8"))[-1]
    user, _, group = image.account.partition(":")
    root = folder / image.name
    given = {name: value for name, value in os.environ.items() if name.startswith("FIVEFOLD_")}
    account = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups"]
    no_rights = ["--no-new-privs", "--bounding-set=-all"]
    inside = ["chroot", str(root), *account, *no_rights, *(words or image.command)]
    script = """
        mount --rbind "$1" "$1"; mount -o remount,bind,ro "$1"
        mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"; mount -t proc proc "$1/proc"; mount --rbind /dev "$1/dev"
        mount --bind "$2" "$1/data"; shift 2; exec "$@"
    """
    data = folder / "data"
    if not data.exists():
        data.mkdir(mode=0o700)
        os.chown(data, int(user), int(group))
    command = ["unshare", "--mount", "sh", "-ec", script, "sh", str(root), str(data), *inside]
    os.execvpe(command[0], command, image.environment | given)  # so that signals reach the program itself


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "build":
        build(*(Path(word).absolute() for word in rest))
    else:
        run(Path(rest[0]).absolute(), rest[1:])
