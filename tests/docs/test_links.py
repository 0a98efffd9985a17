"""Every relative link of a Markdown file leads to a file, and its anchor to a heading there."""

import functools
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[2]
FOLDERS = ("docs", "multilstm", "parity", "tests", ".")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
TARGET = re.compile(r"^\(([\w-]+)\)=", re.MULTILINE)
PATH = re.compile(r"`((?:multilstm|parity|tests|docs)/[\w/.-]+)`")


def documents():
    found = [path for folder in FOLDERS[:-1] for path in (ROOT / folder).rglob("*.md")]
    return sorted({*found, *ROOT.glob("*.md")} - {path for path in found if "_" in path.parent.name[:1]})


def slug(heading):
    """Return the anchor that GitHub and MyST give a heading."""
    text = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


@functools.cache
def anchors(path):
    text = path.read_text(encoding="utf-8")
    without_code = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+\s+(.*)$", without_code, re.MULTILINE)
    return {slug(heading) for heading in headings} | set(TARGET.findall(text))


def broken(path, text):
    for target in LINK.findall(CODE.sub("", text)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        place = (path.parent / name).resolve() if name else path
        if not place.exists():
            yield f"{target}: no such file"
        elif anchor and place.suffix == ".md" and anchor not in anchors(place):
            yield f"{target}: no such heading"


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path):
    assert list(broken(path, path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_paths_in_code_spans_exist(path):
    if path.name == "CHANGELOG.md":  # it speaks of the past
        return
    names = PATH.findall(path.read_text(encoding="utf-8"))
    assert [
        name for name in names if not (ROOT / name).exists() and not {"ID", "_build"} & set(re.split(r"\W", name))
    ] == []


@pytest.mark.parametrize("link", ["missing.md", "README.md#no-such-heading", "#nowhere"])
def test_a_broken_link_is_seen(link):
    assert list(broken(ROOT / "README.md", f"[words]({link})"))


def test_no_document_is_left_out():
    tracked = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("not a clone")
    assert {ROOT / name for name in tracked.stdout.split()} <= set(documents())
