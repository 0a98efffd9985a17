"""Records the output of every example.

    python docs/record.py [NAME...]

The documents show docs/examples/output/NAME.txt, and the pictures NAME.svg that an example draws.
tests/docs/test_examples.py runs the examples again and compares the texts, digits aside: the last digits of rounding
depend on the processor.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

EXAMPLES = pathlib.Path(__file__).parent / "examples"
OUTPUT = EXAMPLES / "output"
ELSEWHERE = {"data_parallel"}  # a slow program, which tests/scan/test_parallel.py runs
NAMES = sorted({path.stem for path in EXAMPLES.glob("*.py")} - ELSEWHERE)
NUMBER = re.compile(r"-?\d[\d,]*(\.\d+)?(e[-+]?\d+)?")


def run(name: str, folder: pathlib.Path) -> str:
    """Run one example and return its standard output.

    Args:
        name: of the example.
        folder: the current folder of its process; it receives the files that the example writes.

    Raises:
        RuntimeError: for an example that ends with another exit code than 0, with its standard error.
    """
    shutil.copy(EXAMPLES / f"{name}.py", folder)
    command = [sys.executable, f"{name}.py"]
    if name.startswith("test_"):
        command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "--no-header", f"{name}.py"]
        command += ["-c", os.devnull, "--rootdir", "."]
    root = EXAMPLES.parents[1]
    path = os.pathsep.join([str(EXAMPLES), str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    inherited = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    environment = {**inherited, "PYTHONPATH": path, "KERAS_BACKEND": "jax", "COLUMNS": "80", "NO_COLOR": "1"}
    environment |= {"MPLBACKEND": "svg", "MATPLOTLIBRC": str(EXAMPLES / "matplotlibrc"), "SOURCE_DATE_EPOCH": "0"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    text = re.sub(r"/tmp/[^\s/]+", "FOLDER", done.stdout)
    text = re.sub(r" in \d+(\.\d+)? ?s\b", " in 1 s", text)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def without_digits(text: str) -> str:
    """Return the text with every number replaced by N and every run of white space or dashes by a blank."""
    return " ".join(re.sub(r"[=-]{3,}", " ", NUMBER.sub("N", text)).split())


if __name__ == "__main__":
    OUTPUT.mkdir(exist_ok=True)
    for example in sys.argv[1:] or NAMES:
        with tempfile.TemporaryDirectory() as folder:
            (OUTPUT / f"{example}.txt").write_text(run(example, pathlib.Path(folder)), encoding="utf-8")
            for picture in pathlib.Path(folder).glob("*.svg"):
                shutil.copy(picture, OUTPUT)
        print(f"recorded {example}")
