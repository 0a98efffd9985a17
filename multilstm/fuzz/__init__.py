"""Random cases: drawn by Hypothesis, compared, shrunk to the smallest that fails alike, and written as scripts.

A seed or the cells of a run enter; samples and scripts leave. The room may import `suite` and the rooms below it. Only
`multilstm.fuzz.strategies` imports Hypothesis.
"""

from multilstm.fuzz.campaign import Campaign, Finding, check, open_campaign, run_campaign, shrink_failures
from multilstm.fuzz.sample import Sample, sample_from_json
from multilstm.fuzz.script import Reproducer, script
from multilstm.fuzz.shrink import shrink

__all__ = [
    "Campaign",
    "Finding",
    "Reproducer",
    "Sample",
    "check",
    "open_campaign",
    "run_campaign",
    "sample_from_json",
    "script",
    "shrink",
    "shrink_failures",
]
