"""A diagnosis at the terminal, for 80 columns and also without colour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from multilstm.doctor.diagnosis import Diagnosis, EngineDiagnosis
from multilstm.ledger.known_issues import KNOWN_ISSUES


def render(diagnosis: Diagnosis, console: Console, verbose: bool = False) -> None:
    """Print the diagnosis.

    Args:
        diagnosis: the engines of this machine.
        console: the terminal.
        verbose: whether each engine's settings are shown, and the consequence and remedy of each known problem.
    """
    machine, memory = diagnosis.machine, diagnosis.machine["memory_bytes"]
    about = [f"Python {machine['python']}", machine["platform"], f"{machine['cores']} cores"]
    about += [f"{memory / 2**30:.0f} GiB"] if memory else []
    blocks: list[Any] = [
        Text(f"multilstm {machine['multilstm']} on {diagnosis.device}", "bold"),
        _text(", ".join(about), "dim"),
        _conclusion(diagnosis),
        Text(),
        _engine_table(diagnosis, verbose),
        *_failures(diagnosis.engines),
        *_issues(diagnosis.engines, verbose),
        *_user_settings(diagnosis),
    ]
    console.print(Group(*blocks))


def _engine_table(diagnosis: Diagnosis, verbose: bool) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
    table.add_column("Engine", no_wrap=True)
    table.add_column("Self-test", no_wrap=True)
    table.add_column("Computes with")
    for engine in diagnosis.engines:
        name = Text(engine.name, "bold" if engine.status == "ready" else "dim")
        settings = _settings(engine, diagnosis.variables) if verbose else [d for d in engine.devices if d != "cpu"]
        table.add_row(name, _verdict(engine), Group(*_facts(engine, ", ".join(settings))))
    return table


def _settings(engine: EngineDiagnosis, variables: Mapping[str, str]) -> list[str]:
    """Return the devices and the switches; a switch that only repeats a variable of the user is left out."""
    switches = engine.switches.items()
    return [*engine.devices, *(f"{name} {value}" for name, value in switches if variables.get(name) != value)]


def _facts(engine: EngineDiagnosis, settings: str) -> list[Text]:
    """Return the lines about one engine."""
    if engine.status != "ready":
        return [_text(engine.reason), *([_text(engine.remedy, "green")] if engine.remedy else [])]
    kernel = engine.implementation.kernel
    return [
        _text(", ".join(f"{name} {version}" for name, version in engine.versions.items())),
        *([_text(settings, "dim")] if settings else []),
        *([_text(f"LSTM by {kernel}", "dim")] if kernel else []),
    ]


def _verdict(engine: EngineDiagnosis) -> Text:
    if engine.status != "ready":
        return Text(engine.status, "dim" if engine.status == "unavailable" else "bold red")
    if engine.passes:
        return Text(f"{len(engine.self_test)} pass", "green")
    return Text(f"{len(engine.failed)} of {len(engine.self_test)} FAIL", "bold red")


def _failures(engines: Iterable[EngineDiagnosis]) -> list[Any]:
    """Return every failed test once, with the engines that share it, and the last lines of broken workers."""
    where: dict[tuple[str, str], list[str]] = {}
    for engine in engines:
        for test in engine.failed:
            where.setdefault((test.name, test.detail), []).append(engine.name)
        if engine.status == "broken" and engine.stderr.strip():
            lines = "\n".join(engine.stderr.strip().splitlines()[-3:])
            where.setdefault(("last lines on stderr", lines), []).append(engine.name)
    blocks: list[Any] = []
    for (name, detail), names in where.items():
        blocks += [_text(f"{', '.join(names)}: {name}", "bold red"), Padding(_text(detail), (0, 0, 0, 2))]
    return _section("Failures", blocks)


def _issues(engines: Sequence[EngineDiagnosis], verbose: bool) -> list[Any]:
    """Return every known problem once, by installed package."""
    by_package: dict[str, list[Any]] = {}
    for issue in KNOWN_ISSUES:
        affected = [engine for engine in engines if issue in engine.issues]
        if not affected:
            continue
        names = f" ({', '.join(engine.name for engine in affected)})"
        body = Text.assemble((_capitalized(issue.title), "bold" if verbose else ""), (names, "dim"))
        if verbose:
            body.append(f"\n{issue.consequence}\n").append(f"Remedy: {issue.advice}", "green")
            body.append(f"\n{issue.link}" if issue.link else "", "dim")
        item = Table.grid(padding=(0, 1, 0, 0))
        item.add_row("-", body)
        by_package.setdefault(f"{issue.package} {affected[0].versions[issue.package]}", []).append(item)
    blocks: list[Any] = []
    for package, items in by_package.items():
        blocks += [_text(package, "bold"), *items]
    more = "" if verbose else "; multilstm doctor --verbose shows consequences and remedies"
    return _section(f"Known problems of the installed versions{more}", blocks)


def _capitalized(phrase: str) -> str:
    """Return the phrase with a capital letter, unless it begins with a name such as `categorical_crossentropy`."""
    return phrase if "_" in phrase.split()[0] else f"{phrase[0].upper()}{phrase[1:]}"


def _user_settings(diagnosis: Diagnosis) -> list[Any]:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    keras = diagnosis.keras
    if keras is not None:
        missing = "" if keras.installed else ", which is not installed here"
        table.add_row(Text("import keras"), _text(f"selects {keras.name}{missing} (by {keras.set_by})"))
    for name, value in diagnosis.variables.items():
        mark = " (overruled)" if name in diagnosis.overruled else ""
        table.add_row(_text(name), _text(f"{value or '(empty)'}{mark}"))
    for name in diagnosis.overruled:
        if name not in diagnosis.variables:
            table.add_row(_text(name), _text("(overruled)"))
    blocks: list[Any] = [table] if table.row_count else []
    if diagnosis.overruled:
        blocks.append(Text("Workers remove or replace overruled variables, so that they change no answer.", "dim"))
    return _section("Your own settings", blocks)


def _section(title: str, blocks: list[Any]) -> list[Any]:
    return [Text(), Text(title, "dim"), *blocks] if blocks else []


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
    """Return text from outside multilstm without control characters and without Rich's markup."""
    return Text("".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text), style)
