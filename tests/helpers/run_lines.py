"""The JSON lines of a run, as a program without multilstm reads them."""

import json


def lines_of(text):
    """Return the data of all lines."""
    return [json.loads(line) for line in text.splitlines()]


def cells_of(text):
    """Return all cells, each with the fields of its job."""
    jobs = [line["job"] for line in lines_of(text) if "job" in line]
    return [{**job, **cell} for job in jobs for cell in job["cells"]]
