"""One report with every mark: agreement, a known difference, a divergence, and cases that an engine does not execute.

Run it in its own folder: PYTHONPATH=$PWD python report.py
"""

import fault_explained  # registers the engine `my-port`, which has a fault

from multilstm.cli.app import main

CASES = ["seed3-states", "option-stateful", "option-activation-relu", "model-masking_dense-mask-left"]

if __name__ == "__main__":
    assert fault_explained
    arguments = ["--engine", "my-port", "keras-jax", "torch-lstm", "--layers", "plain", "--dtype", "float64"]
    try:
        main(["parity", "--case", *CASES, *arguments, "--quantity", "parameter_count", "output", "loss"])
    except SystemExit as end:
        print("exit code", end.code)
