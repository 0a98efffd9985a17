"""A campaign on a terminal."""

from __future__ import annotations

from rich.console import Console

from multilstm.fuzz.campaign import Campaign
from multilstm.report.terminal import shown
from multilstm.report.text import counted


def show_campaign(campaign: Campaign, folder: str, console: Console) -> None:
    """Print the findings of a campaign, then the number of models and the verdict."""
    console.print()
    for name, finding in campaign.findings.items():
        count, path = counted(finding.samples, "model"), shown(f"{folder}/{name}.py")
        console.print(
            f"[bold red]x[/] {shown(finding.engine)}, {count}: {shown(finding.title)} -> {path}", highlight=False
        )
    if campaign.ran:
        ran = ", ".join(f"{shown(engine)} {count:,}" for engine, count in campaign.ran.items())
        known = sum(count for name, count in campaign.verdicts.items() if name.endswith(" known"))
        verdict = "[bold red]different answers[/]" if campaign.findings else "[bold green]same answers[/]"
        verdict += f", and {counted(known, 'known difference')}" if known else ""
        done = f"{counted(campaign.samples, 'model')} in {campaign.seconds:.0f} s, executed by {ran}"
        console.print(f"{done}: {verdict}", highlight=False)
