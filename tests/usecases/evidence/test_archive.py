"""Archives: the same files are the same bytes, and whatever is changed in one afterwards is found."""

import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import IO

import pytest

from fivefold.domain.errors import ConfigError
from fivefold.usecases.evidence import archive as archives
from fivefold.usecases.evidence.archive import (
    MANIFEST,
    File,
    check_archive,
    json_file,
    optional_iso_text,
    text_file,
    write_archive,
)

Content = dict[str, bytes]


def files() -> list[File]:
    return [
        text_file("b/words.txt", "Ünïcode\n"),
        json_file("a.json", {"z": 1, "a": [0.5, None]}),
        File("c.jsonl", lambda: (f'{{"line":{number}}}\n'.encode() for number in range(1000))),
    ]


@pytest.fixture
def made(tmp_path: Path) -> Path:
    path = tmp_path / "made.zip"
    write_archive(path, files(), lambda: {"quarter": "2026Q3"})
    return path


def read(path: Path) -> Content:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path: Path, change: Callable[[Content], object]) -> None:
    content = read(path)
    change(content)
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in content.items():
            archive.writestr(name, text)


def test_the_manifest_has_every_file_and_its_hash(made: Path, tmp_path: Path) -> None:
    content = read(made)
    assert list(content) == ["a.json", "b/words.txt", "c.jsonl", MANIFEST]
    manifest = json.loads(content[MANIFEST])
    assert (manifest["kind"], manifest["form"], manifest["quarter"]) == ("fivefold evidence", 1, "2026Q3")
    assert {file["name"]: (file["bytes"], file["sha256"]) for file in manifest["files"]} == {
        name: (len(text), sha256(text).hexdigest()) for name, text in content.items() if name != MANIFEST
    }
    assert content["b/words.txt"].decode() == "Ünïcode\n"
    assert content["a.json"] == b'{\n  "a": [\n    0.5,\n    null\n  ],\n  "z": 1\n}\n'
    told = write_archive(tmp_path / "again.zip", files(), lambda: {"quarter": "2026Q3"})
    checked = check_archive(made)
    assert (checked.files, checked.problems) == (3, ())
    assert checked.manifest_sha256 == told == sha256(content[MANIFEST]).hexdigest()


def test_the_same_files_are_the_same_bytes_in_whatever_order(made: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.zip"
    write_archive(again, files()[::-1], lambda: {"quarter": "2026Q3"})
    assert again.read_bytes() == made.read_bytes()


def test_nothing_is_left_of_an_archive_that_could_not_be_finished(tmp_path: Path) -> None:
    def broken() -> list[bytes]:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_archive(tmp_path / "made.zip", [*files(), File("d", broken)], dict)
    assert list(tmp_path.iterdir()) == []


CHANGES: dict[str, tuple[Callable[[Content], object], str]] = {
    "a changed byte": (
        lambda content: content.update({"a.json": content["a.json"].replace(b"1", b"2")}),
        "a.json: was changed",
    ),
    "a missing file": (lambda content: content.pop("b/words.txt"), "b/words.txt: is missing"),
    "an added file": (lambda content: content.update({"d.txt": b""}), "d.txt: is not in the manifest"),
    "a wrong size": (
        lambda content: content.update({MANIFEST: content[MANIFEST].replace(b'"bytes": 10', b'"bytes": 11')}),
        "b/words.txt: has 10 bytes, and the manifest says 11",
    ),
    "a longer file": (
        lambda content: content.update({"b/words.txt": content["b/words.txt"] + b"."}),
        "b/words.txt: has more bytes than the 10 that the manifest says",
    ),
}  # fmt: skip


@pytest.mark.parametrize("words", CHANGES)
def test_what_was_changed_is_found(made: Path, words: str) -> None:
    change, told = CHANGES[words]
    rewrite(made, change)
    (problem,) = check_archive(made).problems
    assert problem.startswith(told)


def test_no_file_is_read_on_beyond_the_size_that_the_manifest_says(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rewrite(made, lambda content: content.update({"c.jsonl": bytes(20 << 20)}))
    pieces = list[int]()

    def counted(opened: IO[bytes]) -> Iterator[bytes]:
        for piece in iter(lambda: opened.read(1 << 20), b""):
            pieces.append(len(piece))
            yield piece

    monkeypatch.setattr(archives, "_pieces", counted)
    (problem,) = check_archive(made).problems
    assert problem.startswith("c.jsonl: has more bytes than the ")
    assert sum(pieces) < 2 << 20


def test_a_manifest_that_unpacks_to_too_much_is_refused(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bound = len(read(made)[MANIFEST])
    monkeypatch.setattr(archives, "_MANIFEST_BYTES", bound)
    assert check_archive(made).problems == ()
    rewrite(made, lambda content: content.update({MANIFEST: content[MANIFEST] + b"\n"}))
    with pytest.raises(ConfigError, match=rf"the manifest.json of .*made.zip has more than {bound:,} bytes"):
        check_archive(made)


def test_another_manifest_has_another_hash(made: Path) -> None:
    """Whoever can write files can write a manifest for them; its hash, kept elsewhere, tells."""
    before = check_archive(made).manifest_sha256

    def forge(content: Content) -> None:
        content["a.json"] = b"{}"
        manifest = json.loads(content[MANIFEST])
        manifest["files"][0] |= {"bytes": 2, "sha256": sha256(b"{}").hexdigest()}
        content[MANIFEST] = json.dumps(manifest).encode()

    rewrite(made, forge)
    checked = check_archive(made)
    assert checked.problems == ()
    assert checked.manifest_sha256 != before


def test_a_file_that_is_there_twice_is_found(made: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(made, "a") as archive:
        archive.writestr("a.json", b"{}")
    problems = check_archive(made).problems
    assert "a.json: is there more than once" in problems


def test_a_byte_that_was_spoilt_on_its_way_is_found(made: Path) -> None:
    with zipfile.ZipFile(made) as archive:
        begins = archive.getinfo("c.jsonl").header_offset + 60
    content = bytearray(made.read_bytes())
    content[begins + 200] ^= 0xFF
    made.write_bytes(content)
    (problem,) = check_archive(made).problems
    assert problem.startswith("c.jsonl: ")


@pytest.mark.parametrize("damage", [((-5, 0xFF),), ((9, 0x08), (46, 0xFF))], ids=["place of the index", "name"])
def test_a_damaged_index_is_refused_by_the_name_of_the_file(made: Path, damage: tuple[tuple[int, int], ...]) -> None:
    content = bytearray(made.read_bytes())
    index = content.index(b"PK\x01\x02")
    for place, sign in damage:
        content[place if place < 0 else index + place] = sign
    made.write_bytes(content)
    with pytest.raises(ConfigError, match=f"{made.name} is not an archive that can be read"):
        check_archive(made)


def test_what_is_no_evidence_is_refused(made: Path, tmp_path: Path) -> None:
    words = tmp_path / "words.zip"
    words.write_text("no archive")
    with pytest.raises(ConfigError, match="is not an archive that can be read"):
        check_archive(words)
    with pytest.raises(FileNotFoundError):
        check_archive(tmp_path / "missing.zip")
    with zipfile.ZipFile(words, "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(ConfigError, match=r"has no manifest.json, or several"):
        check_archive(words)
    for manifest, told in (
        (b"{", "is not as `fivefold evidence` writes it"),
        (b'{"kind": "fivefold evidence", "form": 1, "files": [{}]}', "is not as `fivefold evidence` writes it"),
        (b'{"kind": "other", "form": 1, "files": []}', "is other of form 1; this reads fivefold evidence of form 1"),
        (b'{"kind": "fivefold evidence", "form": 2, "files": []}', "of form 2; this reads"),
    ):
        rewrite(made, lambda content, manifest=manifest: content.update({MANIFEST: manifest}))
        with pytest.raises(ConfigError, match=told):
            check_archive(made)


def test_a_moment_can_be_read_back_exactly() -> None:
    for time_us in (0, 1, 1_795_176_000_123_456):
        written = optional_iso_text(time_us)
        assert written is not None
        found = datetime.fromisoformat(written) - datetime(1970, 1, 1, tzinfo=UTC)
        assert round(found.total_seconds() * 1e6) == time_us
    assert optional_iso_text(None) is None
