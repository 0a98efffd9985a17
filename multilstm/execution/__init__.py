"""One case on one engine: its jobs, and the quantities of its results."""
