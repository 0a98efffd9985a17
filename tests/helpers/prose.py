"""The rule for prose as a program: finds the sentences of a tree that break it, by file and line.

    python tests/helpers/prose.py [PATH...]

Without a path: every module and every document of the project. See CONTRIBUTING, "Prose".
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import io
import pathlib
import re
import sys
import tokenize
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).parents[2]
FOLDERS = ("multilstm", "tests", "parity", "docs")
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
LONGEST = 25  # words in a sentence
OPENINGS = ("what", "who", "where", "of", "as if", "how", "it", "all of the above")
WORN = (
    "nobody", "who", "says", "said", "tells", "told", "lends", "lent", "asks", "knows", "as if what", "parts first",
    "mended", "mends", "witness", "witnesses", "beside", "stands", "turned",
)  # fmt: skip
WORN_PATTERN = re.compile(rf"\b({'|'.join(WORN)})\b", re.IGNORECASE)
SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises|Example|Examples|Note|Notes|Parameters|Equations)\s*:?$")
ITEM = re.compile(r"^([-*+]|\d+\.)\s+")
ABBREVIATIONS = ("e.g.", "i.e.", "et al.", "vs.", "cf.", "etc.", "Fig.", "Eq.")


@dataclasses.dataclass(frozen=True)
class Breach:
    """One breach of the rule.

    Attributes:
        place: `path:line`.
        rule: `opening`, `length` or `word`.
        text: the words that break it.
    """

    place: str
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.rule}: {self.text}"


def breaches(path: pathlib.Path) -> Iterator[Breach]:
    """Yield every breach in one Python or Markdown file."""
    name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)
    for line, text, returns_bool in passages(path):
        for sentence in sentences(text) if returns_bool is not None else ():
            if words(sentence) > LONGEST:
                yield Breach(f"{name}:{line}", "length", f"{words(sentence)} words: {sentence[:90]}")
        if returns_bool is not None and path.suffix == ".py":
            first = text.lstrip("`*\"'").lower()
            opening = next((word for word in OPENINGS if re.match(rf"{word}\b", first)), None)
            if opening is None and not returns_bool and re.match(r"whether\b", first):
                opening = "whether, of a function that does not return bool"
            if opening is not None:
                yield Breach(f"{name}:{line}", "opening", f"begins with {opening!r}: {text[:60]!r}")
        for match in WORN_PATTERN.finditer(without_code(text)):
            yield Breach(f"{name}:{line}", "word", repr(match.group()))


def passages(path: pathlib.Path) -> Iterator[tuple[int, str, bool | None]]:
    """Yield line, text, and for a docstring whether its function returns bool; None for a comment."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        yield 1, text, True
        return
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        docstring = ast.get_docstring(node, clean=False)
        if docstring is not None:
            returns = getattr(node, "returns", None)
            yield node.body[0].lineno, inspect.cleandoc(docstring), returns is None or "bool" in ast.unparse(returns)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and not token.string.startswith(("#!", "# type:", "# noqa", "# fmt")):
            yield token.start[0], token.string.lstrip("# "), None


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a docstring or document; tables, code and section titles are none."""
    for block in blocks(text):
        for abbreviation in ABBREVIATIONS:
            block = block.replace(abbreviation, abbreviation.replace(".", ""))
        yield from (sentence for sentence in re.split(r"(?<=[.!?])\s+", block) if sentence)


def blocks(text: str) -> Iterator[str]:
    """Yield the paragraphs, list items and argument descriptions of a text, each on one line."""
    block: list[str] = []
    fenced, section, after_blank = False, False, True
    for line in text.splitlines():
        stripped, indent = line.strip(), len(line) - len(line.lstrip())
        if stripped.startswith(("```", "~~~", ":::")):
            fenced = not fenced
        code = fenced or stripped.startswith(("```", "~~~", ":::", "|", ">>>", "...", "#", "$$"))
        code = code or (indent >= 4 and after_blank and not section)
        starts = not stripped or code or SECTION.match(stripped) or ITEM.match(stripped) or (section and indent == 4)
        if starts and block:
            yield " ".join(block)
            block = []
        if SECTION.match(stripped):
            section = True
        elif stripped and indent == 0:
            section = False
        after_blank = not stripped or (after_blank and code)
        if stripped and not code and not SECTION.match(stripped):
            block.append(ITEM.sub("", stripped))
    if block:
        yield " ".join(block)


def without_code(text: str) -> str:
    """Return the text with code spans, links' targets and code blocks removed."""
    text = re.sub(r"```.*?```", " ", text, flags=re.DOTALL)
    text = re.sub(r"`[^`]*`", "x", text)
    return re.sub(r"\]\([^)]*\)|https?://\S+", " ", text)


def words(sentence: str) -> int:
    """Return the number of words; a code span counts as one."""
    return len(re.findall(r"[A-Za-z0-9][\w'-]*", without_code(sentence)))


def frequency_of_what(paths: list[pathlib.Path]) -> tuple[int, int]:
    """Return how often `what` occurs in the docstrings and comments of modules, and the number of their words."""
    texts = [without_code(text) for path in paths if path.suffix == ".py" for _, text, _ in passages(path)]
    found = sum(len(re.findall(r"\bwhat\b", text, re.IGNORECASE)) for text in texts)
    return found, sum(len(text.split()) for text in texts)


def files(arguments: list[str]) -> list[pathlib.Path]:
    """Return the files to check: those below the given paths, or all of the project."""
    given = [pathlib.Path(argument).resolve() for argument in arguments]
    starts = given or [*(ROOT / folder for folder in FOLDERS), *(ROOT / document for document in DOCUMENTS)]
    found: list[pathlib.Path] = []
    for start in starts:
        below = sorted(start.rglob("*")) if start.is_dir() else [start]
        found += [
            path
            for path in below
            if path.suffix in (".py", ".md") and path.is_file() and not {"_build", "_generated"} & set(path.parts)
        ]
    return found


if __name__ == "__main__":
    chosen = files(sys.argv[1:])
    broken = [breach for path in chosen for breach in breaches(path)]
    count, total = frequency_of_what(chosen)
    print("\n".join(map(str, broken)))
    print(f"{len(broken)} breaches in {len(chosen)} files; 'what' {count} times in {total} words")
    sys.exit(bool(broken))
