"""A diagnosis at the terminal: made for 80 columns, and for terminals without colour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from multilstm.doctor.examination import Diagnosis, EngineDiagnosis
from multilstm.ledger.known_issues import KNOWN_ISSUES


def render(diagnosis: Diagnosis, console: Console) -> None:
    """Prints the diagnosis."""
    machine, memory = diagnosis.machine, diagnosis.machine["memory_bytes"]
    about = [f"Python {machine['python']}", machine["platform"], f"{machine['cores']} cores"]
    about += [f"{memory / 2**30:.0f} GiB"] if memory else []
    parts: list[Any] = [
        Text(f"multilstm {machine['multilstm']} on {diagnosis.device}", "bold"),
        _text(", ".join(about), "dim"),
        Text(),
        _engine_table(diagnosis.engines, diagnosis.variables),
        *_failures(diagnosis.engines),
        *_issues(diagnosis.engines),
        *_surroundings(diagnosis),
        Text(),
        _conclusion(diagnosis),
    ]
    console.print(Group(*parts))


def _engine_table(engines: Iterable[EngineDiagnosis], variables: Mapping[str, str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
    table.add_column("Engine", no_wrap=True)
    table.add_column("Self-test", no_wrap=True)
    table.add_column("Computes with")
    for engine in engines:
        facts = [_text(", ".join(f"{name} {version}" for name, version in engine.versions.items()))]
        settings = [*engine.devices]
        settings += [f"{name} {value}" for name, value in engine.switches.items() if variables.get(name) != value]
        facts += [_text(", ".join(settings), "dim")] if settings else []
        kernel = engine.implementation.kernel
        facts += [_text(f"LSTM by {kernel}", "dim")] if kernel else []
        if engine.status != "ready":
            facts = [_text(engine.reason), *([_text(engine.remedy, "green")] if engine.remedy else [])]
        table.add_row(Text(engine.name, "bold" if engine.status == "ready" else "dim"), _verdict(engine), Group(*facts))
    return table


def _verdict(engine: EngineDiagnosis) -> Text:
    if engine.status != "ready":
        return Text(engine.status, "dim" if engine.status == "unavailable" else "bold red")
    if engine.passes:
        return Text(f"{len(engine.self_test)} pass", "green")
    return Text(f"{len(engine.failed)} of {len(engine.self_test)} FAIL", "bold red")


def _failures(engines: Iterable[EngineDiagnosis]) -> list[Any]:
    """Every failed test once, with the engines that share it; and what a broken worker said last."""
    where: dict[tuple[str, str], list[str]] = {}
    for engine in engines:
        for test in engine.failed:
            where.setdefault((test.name, test.detail), []).append(engine.name)
        if engine.status == "broken" and engine.stderr.strip():
            where.setdefault(("last words", "\n".join(engine.stderr.strip().splitlines()[-3:])), []).append(engine.name)
    parts: list[Any] = []
    for (name, detail), names in where.items():
        parts += [_text(f"{', '.join(names)}: {name}", "bold red"), Padding(_text(detail), (0, 0, 0, 2))]
    return _section("What fails", parts)


def _issues(engines: Sequence[EngineDiagnosis]) -> list[Any]:
    """Every known issue once, in the order of KNOWN_ISSUES, under the engines and the version that show it."""
    parts: list[Any] = []
    last = ""
    for issue in KNOWN_ISSUES:
        found = [engine for engine in engines if issue in engine.issues]
        if not found:
            continue
        head = f"{', '.join(engine.name for engine in found)}: {issue.package} {found[0].versions[issue.package]}"
        if head != last:
            parts.append(_text(head, "bold"))
        last = head
        body = Text.assemble(f"{_sentence(issue.title)} {issue.consequence} ", (issue.advice, "green"))
        if issue.link:
            body.append(f" {issue.link}", "dim")
        row = Table.grid(padding=(0, 1, 0, 0))
        row.add_row("-", body)
        parts.append(row)
    return _section("Known in these versions", parts)


def _sentence(phrase: str) -> str:
    return f"{phrase[0].upper()}{phrase[1:]}."


def _surroundings(diagnosis: Diagnosis) -> list[Any]:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    keras = diagnosis.keras
    if keras is not None:
        missing = "" if keras.installed else ", which is not installed here"
        table.add_row(Text("import keras"), _text(f"takes {keras.name}{missing} (by {keras.set_by})"))
    for name, value in diagnosis.variables.items():
        table.add_row(_text(name), _text(value or "(empty)"))
    return _section("Outside of multilstm", [table] if table.row_count else [])


def _section(title: str, parts: list[Any]) -> list[Any]:
    return [Text(), Text(title, "dim"), *parts] if parts else []


def _conclusion(diagnosis: Diagnosis) -> Text:
    engines = diagnosis.engines
    passing = sum(engine.passes for engine in engines)
    if diagnosis.exit_code == 3:
        return Text("No engine can run here but the reference, which needs no framework.", "bold red")
    missing = sum(engine.status == "unavailable" for engine in engines)
    rest = f"; {missing} cannot run here" if missing else ""
    if diagnosis.exit_code == 0:
        return Text(f"{passing} of {len(engines)} engines can run here and compute correctly{rest}.", "bold green")
    wrong = [engine.name for engine in engines if engine.status != "unavailable" and not engine.passes]
    return Text(f"{passing} of {len(engines)} engines pass{rest}. Do not trust {', '.join(wrong)} yet.", "bold red")


def _text(text: str, style: str = "") -> Text:
    """Text from outside, without control characters, and without Rich's markup."""
    return Text("".join(each if each.isprintable() or each == "\n" else "?" for each in text), style)
