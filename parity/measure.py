"""Shows the head room of the table of tolerances: how much of each row a recorded run used, and where.

multilstm parity --json REPORT.json; python parity/measure.py REPORT.json
"""

import json
import sys

from multilstm.compare import TABLE


def main(path: str) -> None:
    """Prints one line a row."""
    with open(path, encoding="utf-8") as stream:
        cells = json.load(stream)["cells"]
    for row in TABLE:
        for kind in row.quantities:
            found = [
                cell
                for cell in cells
                if (cell["dtype"], cell["device"]) == (row.dtype, row.device)
                and cell["quantity"].split(":")[0] == kind
                and cell["share"] is not None
            ]
            if not found:
                continue
            worst = max(found, key=lambda cell: cell["share"])
            where = f"{worst['engine']} {worst['case']} {worst['quantity']}"
            used = f"used {worst['share']:6.1%}  max_abs {worst['max_abs']:.1e}"
            sys.stdout.write(f"{row.dtype} {kind:14} {row!s:24} {used}  {where}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
