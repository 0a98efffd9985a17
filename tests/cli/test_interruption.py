"""Signals and limits end the command line while the parent itself computes, at once and without a traceback."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from multilstm.spec import LSTM, Sequential

ROOT = pathlib.Path(__file__).parents[2]
LARGE = Sequential([LSTM(4000)], input_shape=(None, 1))  # its weights take half a minute

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows sends no signal to one process")


@pytest.fixture
def start(tmp_path):
    """Start `multilstm ...` in an empty folder."""
    processes = []

    def call(*arguments):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            [sys.executable, "-m", "multilstm", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment,
        )  # fmt: skip
        processes.append(process)
        return process

    yield call
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_ends_the_drawing_of_large_weights(start, tmp_path, name, code):
    (tmp_path / "model.json").write_text(LARGE.to_json())
    process = start("parity", "model.json", "--engine", "reference")
    time.sleep(5)
    assert process.poll() is None
    sent = time.perf_counter()
    process.send_signal(getattr(signal, name))
    _, stderr = process.communicate(timeout=60)
    assert time.perf_counter() - sent < 10
    assert process.returncode == code
    assert "Traceback" not in stderr


def test_a_time_limit_ends_the_drawing_of_large_weights(start, tmp_path):
    (tmp_path / "model.json").write_text(LARGE.to_json())
    begin = time.perf_counter()
    process = start("parity", "model.json", "--engine", "reference", "--timeout", "1")
    _, stderr = process.communicate(timeout=60)
    assert time.perf_counter() - begin < 25
    assert process.returncode == 4
    assert "drawing the weights takes longer than 1 s" in stderr


MOMENTS = [0.2 + 0.15 * number for number in range(9)]  # seconds; before them Python itself starts


@pytest.mark.parametrize("delay_s", MOMENTS, ids=lambda delay: f"{delay:.2f}s")
def test_at_any_moment_ctrl_c_ends_quietly(start, tmp_path, delay_s):
    """The signal comes during the imports, or while the first jobs run."""
    process = start("parity", "--engine", "reference")
    time.sleep(delay_s)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
