"""A campaign as lines in a terminal."""

from __future__ import annotations

from rich.console import Console

from multilstm.fuzz.campaign import Campaign
from multilstm.report.data import counted
from multilstm.report.terminal import shown


def show_campaign(campaign: Campaign, folder: str, console: Console) -> None:
    """Prints what a campaign of `multilstm fuzz` did and found."""
    console.print()
    for name, finding in campaign.findings.items():
        title, count = shown(finding["title"]), counted(finding["samples"], "model")
        where = shown(f"{folder}/{name}.py")
        console.print(f"[bold red]x[/] {finding['engine']}, {count}: {title} -> {where}", highlight=False)
    if campaign.ran:
        ran = ", ".join(f"{engine} {count:,}" for engine, count in campaign.ran.items())
        verdict = "[bold red]they do not agree[/]" if campaign.findings else "[bold green]all agree[/]"
        done = f"{counted(campaign.samples, 'model')} in {campaign.seconds:.0f} s, executed by {ran}"
        console.print(f"{done}: {verdict}", highlight=False)
