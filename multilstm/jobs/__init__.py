"""Jobs and results, the data that cross the process border, and the checks of a user's arrays.

A spec, weights and batches enter; a `Job` leaves for an engine, and a `Result` comes back. Imports frameworks and spec.
"""

from multilstm.jobs.implementation import Implementation
from multilstm.jobs.job import Answer, Batch, Job, Result, Step

__all__ = ["Answer", "Batch", "Implementation", "Job", "Result", "Step"]
