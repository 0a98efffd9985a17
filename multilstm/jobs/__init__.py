"""Jobs and results, the data that cross the process border."""
