"""Generated cases: drawn by Hypothesis, compared, shrunk to the smallest that diverges alike, written as scripts.

Only `multilstm.fuzz.strategies` imports Hypothesis.
"""

from multilstm.fuzz.campaign import Campaign, check, open_campaign, run_campaign, shrink_failures
from multilstm.fuzz.sample import Sample, sample_from_json
from multilstm.fuzz.script import script
from multilstm.fuzz.shrink import shrink

__all__ = [
    "Campaign", "Sample", "check", "open_campaign", "run_campaign", "sample_from_json", "script", "shrink",
    "shrink_failures",
]  # fmt: skip
