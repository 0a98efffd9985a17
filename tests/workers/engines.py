"""Engines that fail on purpose, for the tests of the workers."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
from pretended_gpu import with_gpu

from multilstm.engines.reference.engine import ReferenceEngine


class Raises(ReferenceEngine):
    platform = with_gpu()

    def prepare(self, job):
        print("printed to standard output")
        raise ZeroDivisionError("on purpose")


class RaisesAsKeras(Raises):
    def prepare(self, job):
        raise ValueError("Exception encountered when calling LSTM.call().\n\n\x1b[1mtoo wide\x1b[0m\n\nArguments: ...")


class RaisesAsTensorFlow(Raises):
    def prepare(self, job):
        raise ValueError(
            'Graph execution error:\n\nDetected at node x\n  File "a.py", in f\n\ntoo short\n\t [[node]]\n'
        )


class Exits(Raises):
    def prepare(self, job):
        print("last words", file=sys.stderr)
        sys.stderr.flush()
        os._exit(7)


class Killed(Raises):
    def prepare(self, job):
        os.kill(os.getpid(), signal.SIGKILL)


class Hangs(Raises):
    def prepare(self, job):
        time.sleep(600)


class OutOfMemory(Raises):
    def prepare(self, job):
        np.ones(1 << 45)


def grow():
    """Take 100 MB more twenty times a second, up to 3 GB."""
    arrays = []
    while len(arrays) < 30:
        arrays.append(np.ones(100_000_000, np.uint8))
        time.sleep(0.05)
    time.sleep(600)


class Grows(Raises):
    def prepare(self, job):
        grow()


class GrowsInChild(Raises):
    def prepare(self, job):
        subprocess.run([sys.executable, "-c", "import engines; engines.grow()"], check=True)


class Noisy(Raises):
    def prepare(self, job):
        print("noise " * 10000)
        os.write(1, b"noise at the file descriptor\n")
        return ReferenceEngine().prepare(job)


class Environment(Raises):
    def prepare(self, job):
        raise RuntimeError(json.dumps(dict(os.environ)))


class CrashesOnce(Raises):
    """Makes a file and crashes, unless that file exists."""

    def prepare(self, job):
        marker = os.environ["MULTILSTM_TEST_MARKER"]
        if not os.path.exists(marker):
            open(marker, "w").close()
            os._exit(1)
        return ReferenceEngine().prepare(job)


class Slow(ReferenceEngine):
    """The reference, with a pause before each job, in which a test ends the machine."""

    def prepare(self, job):
        time.sleep(0.3)
        return super().prepare(job)
