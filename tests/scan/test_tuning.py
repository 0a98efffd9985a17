"""`tune_cpu` acts on a whole process, so each test runs it in a new one: with it, without it, and with flags."""

import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import sys

import numpy as np
import pytest

from multilstm.errors import InputError
from multilstm.frameworks.machine import cores
from multilstm.scan import tuning

ROOT = pathlib.Path(__file__).parents[2]
COUNT_FAULTS = """
import numpy, resource
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    numpy.ones(1 << 24)  # 128 MiB, freed at once
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
found["faults"] = faults()
"""
ANSWER = """
import jax, numpy
from multilstm.scan import init, lstm
from multilstm.scan.parallel import data_parallel_mesh
params = init(features=7, units=40, seed=0)
x = numpy.random.default_rng(0).normal(size=(4, 30, 7)).astype("float32")
loss = lambda params: (lstm(params, x, mesh=data_parallel_mesh())[0] ** 2).sum()
found["devices"] = jax.device_count()
found["gradient"] = numpy.asarray(jax.grad(loss)(params).recurrent_kernel).tolist()
"""


REFUSED = """
from multilstm.errors import InputError, UsageError
found["refused"] = []
try:
    tune_cpu()
except UsageError as error:
    found["refused"].append(str(error))
refused = [{"devices": 0}, {"devices": "2"}, {"measure": "yes"}]
for options in refused + [{"cache": cache} for cache in (3, "", "/dev/null", "a\\0b")]:
    try:
        tune_cpu(**options)
    except InputError as error:
        found["refused"].append(str(error))
"""


def ask(body, tune, flags=""):
    """Run `body` in a new process after `tune`, and return the facts that it found."""
    script = f"import json, os, sys\nfrom multilstm.scan import tune_cpu, tuning\nfound = {{'tuned': {tune}}}\n{body}\n"
    script += "found['flags'] = os.environ['XLA_FLAGS']\njson.dump(found, sys.stdout)"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT), "XLA_FLAGS": flags}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def plain():
    return ask(COUNT_FAULTS + ANSWER + REFUSED, "None")


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    return tmp_path_factory.mktemp("programs")


@pytest.fixture(scope="module")
def tuned(programs):
    body = COUNT_FAULTS + ANSWER + "found['known'] = tuning.WIDE_VECTORS.jaxlibs"
    return ask(body, f"tune_cpu(2, cache={str(programs)!r})")


@pytest.fixture(scope="module")
def with_flags():
    return ask("", "tune_cpu(measure=True)", "--xla_cpu_prefer_vector_width=256")


def test_as_many_devices_as_asked_for(plain, tuned):
    assert (plain["devices"], tuned["devices"]) == (1, 2)
    assert tuned["tuned"]["devices"] == "2"


def test_one_device_for_every_core(with_flags):
    assert with_flags["tuned"]["devices"] == str(cores())


def test_the_answer_is_the_same(plain, tuned):
    actual, desired = np.array(tuned["gradient"]), np.array(plain["gradient"])
    assert np.abs(actual - desired).max() <= 2e-5 * np.abs(desired).max()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone has mallopt's parameters")
def test_freed_memory_stays(plain, tuned):
    assert tuned["tuned"]["memory"] == "kept"
    assert plain["faults"] > 40  # 64 of 2 MiB, 32,768 of 4 KiB
    assert tuned["faults"] <= plain["faults"] / 10


def test_vectors_where_the_version_is_known(tuned):
    known = importlib.metadata.version("jaxlib") in tuned["known"]
    assert ("--xla_cpu_prefer_vector_width=512" in tuned["flags"]) == known
    assert tuned["tuned"]["vectors"].startswith("512 bits" if known else "XLA's own")


def test_flags_that_are_given_stay(with_flags):
    assert with_flags["flags"] == "--xla_cpu_prefer_vector_width=256"
    assert with_flags["tuned"]["vectors"] == "as XLA_FLAGS says"


def test_programs_are_kept_in_the_folder(tuned, with_flags, programs):
    assert tuned["tuned"]["programs"] == f"kept in {programs}"
    assert [file for file in programs.iterdir() if file.name.startswith("jit_")]
    assert with_flags["tuned"]["programs"] == "compiled in each process"


def test_plans_are_measured_on_request(tuned, with_flags):
    assert (tuned["tuned"]["plans"], with_flags["tuned"]["plans"]) == ("by rules", "measured")


def test_no_device_and_a_late_call_are_refused(plain):
    assert plain["refused"] == [
        "tune_cpu: JAX has already started; call it before JAX computes anything",
        "tune_cpu: devices must be an integer from 1 to 2147483647, given 0",
        "tune_cpu: devices must be an integer from 1 to 2147483647, given '2'",
        "tune_cpu: measure must be True or False, given 'yes'",
        "tune_cpu: cache must be True, False or a folder, given 3",
        "tune_cpu: cache must be True, False or a folder, given ''",
        "tune_cpu: cache '/dev/null' cannot be written (File exists); expected a folder",
        "tune_cpu: cache 'a\\x00b' cannot be written (embedded null byte); expected a folder",
    ]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no named pipes in folders")
@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_a_folder_with_an_entry_that_jax_would_wait_for_is_refused(tmp_path, kind):
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "jit_a-cache").write_bytes(b"")
    pipe = tmp_path / ("pipe" if kind == "link" else "programs/jit_b-cache")
    os.mkfifo(pipe)
    if kind == "link":
        (tmp_path / "programs" / "jit_b-cache").symlink_to(pipe)
    with pytest.raises(InputError, match=r"programs' holds 'jit_b-cache', which is a pipe, a socket or a device"):
        tuning._folder(tmp_path / "programs")


def test_a_folder_of_files_and_folders_is_taken(tmp_path):
    (tmp_path / "jit_a-cache").write_bytes(b"")
    (tmp_path / "xla").mkdir()
    if os.name != "nt":
        (tmp_path / "broken").symlink_to(tmp_path / "absent")
    assert tuning._folder(tmp_path) == str(tmp_path)
