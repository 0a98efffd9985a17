"""Data parallelism over devices and processes gives the results of one device, with any mask.

JAX counts its devices once, so `parallel_program.py` computes everything in processes of their own.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

from multilstm.engines.registry import ENGINES
from multilstm.frameworks.process_environment import for_process, merge
from multilstm.scan import launch

ROOT = pathlib.Path(__file__).parents[2]
PROGRAM = str(pathlib.Path(__file__).with_name("parallel_program.py"))
LAUNCH = ("-m", "multilstm.scan.launch", "--processes", "2")
EXAMPLE = str(ROOT / "docs" / "examples" / "data_parallel.py")
ENVIRONMENT = {
    **for_process("cpu", ENGINES["jax-scan"].environment, os.environ),
    "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
}  # fmt: skip
EIGHT = merge(ENVIRONMENT, {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"})
TOLERANCE = 1e-12  # of max|actual - desired| / max|desired|; measured: 3e-15
PLACEMENTS = {
    "eight_devices": ([], EIGHT, {"devices": 8, "processes": 1}),
    "two_processes": (LAUNCH, {}, {"devices": 2, "processes": 2}),
    "two_processes_of_two": ([*LAUNCH, "--devices", "2"], {}, {"devices": 4, "processes": 2}),
}
QUANTITIES = ("evaluation", "trained", "loss", "gradient", "weights", "slots")
PROBLEMS = {
    "masked_adam": QUANTITIES,
    "dropout_rmsprop": QUANTITIES,
    "stateful_sgd": QUANTITIES,
    "embedding_adam": QUANTITIES,
    "encoder_decoder_sgd": QUANTITIES[:-1],
}
# Every problem is computed over the devices of one process, and once over those of several.
COMPUTED = {
    "eight_devices": tuple(PROBLEMS),
    "two_processes": ("dropout_rmsprop", "stateful_sgd"),
    "two_processes_of_two": ("masked_adam", "embedding_adam", "encoder_decoder_sgd"),
}

needs_collectives = pytest.mark.skipif(
    sys.platform == "win32", reason="jaxlib on Windows has no collectives between processes on CPU"
)


def placed(placement, *values):
    return pytest.param(placement, *values, marks=needs_collectives if "processes" in placement else ())


def placements():
    return [placed(placement) for placement in PLACEMENTS]


def quantities():
    return [
        placed(placement, name, each)
        for placement in PLACEMENTS
        for name in COMPUTED[placement]
        for each in PROBLEMS[name]
    ]


def run(*arguments, environment=None, timeout=600):
    return subprocess.run(
        [sys.executable, *arguments], env={**ENVIRONMENT, **(environment or {})}, cwd=ROOT, capture_output=True,
        text=True, timeout=timeout, check=False,
    )  # fmt: skip


class Computed:
    """The arrays and facts that each process of one placement wrote."""

    def __init__(self, folder):
        self.arrays = [dict(np.load(path)) for path in sorted(folder.glob("*.npz"))]
        self.facts = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]

    def of(self, problem, quantity):
        """Return the arrays of a problem whose names begin so; rows of several processes under one another."""
        found = {}
        for key in self.arrays[0]:
            owner, kind, name = key.split(":", 2)
            if owner == problem and name.startswith(quantity):
                parts = [arrays[key] for arrays in self.arrays]
                if kind == "whole":
                    for part in parts[1:]:
                        np.testing.assert_array_equal(part, parts[0], err_msg=f"{key} differs between processes")
                found[name] = np.concatenate(parts) if kind == "rows" else parts[0]
        return found


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    kept = {}

    def of(placement):
        if placement not in kept:
            folder = tmp_path_factory.mktemp(placement)
            command, environment, _ = PLACEMENTS.get(placement, ([], {}, None))
            mode = "parallel" if placement in PLACEMENTS else "alone"
            done = run(*command, PROGRAM, mode, str(folder), *COMPUTED.get(placement, ()), environment=environment)
            assert done.returncode == 0, done.stderr
            kept[placement] = Computed(folder)
        return kept[placement]

    return of


def distances(actual, desired):
    """max|actual - desired| / max|desired| of every array."""
    assert actual.keys() == desired.keys()
    assert actual
    found = {}
    for name, array in desired.items():
        assert actual[name].shape == array.shape, name
        assert actual[name].dtype == array.dtype == np.float64, name
        assert np.isfinite(actual[name]).all(), name
        assert np.isfinite(array).all(), name
        found[name] = np.abs(actual[name] - array).max() / max(np.abs(array).max(), 1e-300)
    return found


@pytest.mark.parametrize("placement", placements())
def test_all_devices_took_part(computed, placement):
    facts = computed(placement).facts
    desired = PLACEMENTS[placement][2]
    assert [{key: each[key] for key in desired} for each in facts] == [desired] * desired["processes"]


@pytest.mark.parametrize(("placement", "problem", "quantity"), quantities())
def test_same_as_on_one_device(computed, placement, problem, quantity):
    found = distances(computed(placement).of(problem, quantity), computed("alone").of(problem, quantity))
    worst = max(found, key=found.get)
    assert found[worst] <= TOLERANCE, f"{worst}: {found[worst]:.1e}"


@pytest.mark.parametrize("placement", placements())
def test_rows_along_the_second_axis_come_back(computed, placement):
    assert [facts["rows_of_axis_1"] for facts in computed(placement).facts] == [True] * len(computed(placement).facts)


def test_a_mean_of_the_means_of_devices_would_show(computed):
    alone = computed("alone")
    desired = alone.of("masked_adam", "loss0[0]") | alone.of("masked_adam", "gradient0")
    fault = distances(alone.of("mean_of_means", ""), desired)
    assert min(fault.values()) > 1e-3


def test_every_weight_has_a_gradient(computed):
    alone = computed("alone")
    for problem in PROBLEMS:
        for name, array in alone.of(problem, "gradient0").items():
            assert np.abs(array).max() > 1e-6, (problem, name)


def test_devices_communicate_outside_of_loops_only(computed):
    found = computed("eight_devices").facts[0]["collectives"]
    for name in ("custom gradient", "plain gradient"):
        assert found[name]["outside"] > 0
        assert (found[name]["inside"], found[name]["other"]) == (0, 0)
    assert found["loops split by XLA"]["inside"] > 0  # so that the count above can fail


@pytest.mark.parametrize("placement", ["alone", *placements()])
def test_no_keras(computed, placement):
    for facts in computed(placement).facts:
        assert "jax" in facts["modules"]
        assert {"keras", "tensorflow", "torch"}.isdisjoint(facts["modules"])


REFUSED = {
    "rows": "InputError: shard_batch: ['x'] has 12 rows, expected a multiple of 8, the number of devices of this",
    "unequal_rows": "InputError: shard_batch: expected the same number of rows everywhere, given ['x'] 16, ['y'] 8",
    "placed_and_unequal": "InputError: shard_batch: expected the same number of rows everywhere, given [0] 16, [1] 8",
    "scalar": "InputError: shard_batch: [1] is the scalar 2.0, expected an array [rows, ...]",
    "no_second_axis": "InputError: shard_batch: the array is of shape (8,), expected an array with its rows along axis",
    "slice": "InputError: local_slice: a batch has 12 rows, expected a multiple of 8, the number of devices of",
    "no_device": "UsageError: data_parallel_mesh: expected at least one device and none of them twice, given []",
    "device_twice": "UsageError: data_parallel_mesh: expected at least one device and none of them twice, given [Cpu",
    "axes": "UsageError: expected a mesh of the one axis 'batch', given one of ('batch', 'model')",
    "weights_on_host": "InputError: ParallelModel: ['weights']['dense/bias'] lies on the host, as ndarray, expected",
    "inputs_on_host": "InputError: ParallelModel: ['inputs']['input_layer'] lies on the host, as ndarray, expected",
    "inputs_whole": "InputError: ParallelModel: ['inputs']['input_layer'] lies on NamedSharding(",
    "states_on_one_device": "InputError: ParallelModel: ['states']['lstm'].hidden lies on SingleDeviceSharding(",
    "dropout_on_host": "InputError: ParallelModel: ['dropout']['lstm/dropout'] lies on the host, as ndarray, expected",
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(computed, name):
    refusals = computed("eight_devices").facts[0]["refusals"]
    assert refusals.keys() == REFUSED.keys()
    assert refusals[name].startswith(REFUSED[name])


@needs_collectives
def test_refused_between_processes(computed):
    for process, facts in enumerate(computed("two_processes_of_two").facts):
        assert facts["refusals"] == {
            "devices_of_one_process": "UsageError: data_parallel_mesh: expected equally many devices of each of the 2 "
            "processes, those of one process next to one another, given devices of the processes "
            f"{[process, process]}",
            "mixed_devices": "UsageError: data_parallel_mesh: expected equally many devices of each of the 2 "
            "processes, those of one process next to one another, given devices of the processes [0, 1, 0, 1]",
            "shape": "InputError: shard_batch: expected the same shapes and dtypes in every process, given in process "
            f"{process} ['x'] float64[{8 * process + 8}, 3], ['y'] float64[{8 * process + 8}, 1], and others in "
            f"process {1 - process}",
        }


@needs_collectives
def test_the_documented_command():
    done = run(*LAUNCH, EXAMPLE)
    assert done.returncode == 0, done.stderr
    assert "2 processes, 2 devices, 32 sequences a step" in done.stdout
    losses = [float(loss) for loss in re.findall(r"loss ([\d.]+)", done.stdout)]
    assert len(losses) == 10
    assert losses[-1] < losses[0] / 2
    assert re.search(r"from those of one device: \de-1\d\n", done.stdout)


@needs_collectives
@pytest.mark.parametrize(
    ("program", "code", "words"),
    [
        ("import sys\nassert sys.argv[1:] == ['--index', '5']", 0, ""),
        ("import jax, sys\nif jax.process_index() == 1: sys.exit(7)", 7, "process 1 ended with exit code 7"),
        ("import jax, sys\nif jax.process_index() == 0: raise ValueError('so it is')", 1, "ValueError: so it is"),
        (
            "import jax, numpy\nfrom multilstm.scan.parallel import *\n"
            "replicate(data_parallel_mesh(), numpy.ones(3) * jax.process_index())",
            1,
            "is not the same on each process",
        ),
    ],
    ids=["arguments", "exit_code", "exception", "weights_that_differ"],
)
def test_a_program_over_two_processes(tmp_path, program, code, words):
    path = tmp_path / "program.py"
    wait = "\nimport time\nif jax.process_index() == 0: time.sleep(600)" if code == 7 else ""
    path.write_text(program + wait)
    done = run(*LAUNCH, str(path), "--index", "5", timeout=120)
    assert done.returncode == code, done.stderr
    assert words in done.stderr


WAITS = "import jax, os, sys, time\nif jax.process_index() == {}:\n    {}\ntime.sleep(600)"


@needs_collectives
@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("leave", ["sys.exit(0)", "os._exit(0)"])
def test_a_process_that_ends_before_the_others_is_reported(tmp_path, index, leave):
    path = tmp_path / "program.py"
    path.write_text(WAITS.format(index, leave))
    done = run(*LAUNCH, "--grace", "0.5", str(path), timeout=120)
    assert done.returncode != 0
    reported = f"ended in process {index} with exit code 0, and still runs in {1 - index}; if it waits" in done.stderr
    aborted = f"process {1 - index} ended with exit code" in done.stderr  # by JAX, which needs process 0
    assert reported or (aborted and (leave, index) == ("os._exit(0)", 0)), done.stderr


@needs_collectives
def test_a_process_may_end_later_than_the_others(tmp_path):
    path = tmp_path / "program.py"
    path.write_text("import jax, time\nif jax.process_index() == 0:\n    time.sleep(4)\n    print('saved')")
    done = run(*LAUNCH, str(path), timeout=120)
    assert (done.returncode, done.stdout) == (0, "saved\n"), done.stderr
    assert "ended in process 1 with exit code 0, and still runs in 0" in done.stderr


@needs_collectives
def test_a_program_sees_the_modules_of_its_own_folder_and_not_of_the_current_one(tmp_path):
    (tmp_path / "program").mkdir()
    path = tmp_path / "program" / "program.py"
    (tmp_path / "program" / "beside.py").write_text("")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "of_the_path.py").write_text("")
    for module in ("jax", "numpy", "sitecustomize", "socket"):
        (tmp_path / f"{module}.py").write_text(f"raise SystemExit('{module} of the current folder')")
    path.write_text("import beside, of_the_path, jax, sys\nprint(jax.process_count())")
    environment = {**ENVIRONMENT, "PYTHONPATH": os.pathsep.join(["", "src", str(ROOT)])}
    environment.pop("PYTHONSAFEPATH", None)
    (tmp_path / "start").mkdir()
    starter = "import multilstm.scan.launch as l, os, sys; os.chdir(sys.argv[1]); sys.exit(l.main(sys.argv[2:]))"
    command = [sys.executable, "-P", "-c", starter, str(tmp_path), "--processes", "1", str(path)]
    done = subprocess.run(
        command, cwd=tmp_path / "start", env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


@needs_collectives
@pytest.mark.parametrize("alone", [False, True], ids=["together", "alone"])
def test_the_launcher_imports_no_module_of_the_current_folder(tmp_path, alone):
    (tmp_path / "folder").mkdir()
    for name in ("jax", "numpy", "argparse", "beside"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name} of the current folder')")
    (tmp_path / "folder" / "beside.py").write_text("")
    path = tmp_path / "folder" / "program.py"
    path.write_text("import beside, sys\nprint(sys.argv[1:])")
    named = ["-mmultilstm.scan.launch"] if alone else ["-m", "multilstm.scan.launch"]
    place = ["--index", "0", "--coordinator", f"127.0.0.1:{launch._free_port()}"] if alone else []
    command = [sys.executable, *named, "--processes", "1", *place, str(path), "argument"]
    environment = {**ENVIRONMENT, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONSAFEPATH", None)
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, "['argument']\n"), done.stderr


@needs_collectives
def test_no_process_outlives_a_launcher_that_is_killed(tmp_path):
    path = tmp_path / "program.py"
    path.write_text("import time, sys\nsys.stderr.write('started\\n')\nsys.stderr.flush()\ntime.sleep(600)")
    command = [sys.executable, *LAUNCH, str(path)]
    with subprocess.Popen(command, env=ENVIRONMENT, cwd=ROOT, stderr=subprocess.PIPE, text=True) as launcher:
        try:
            started = 0
            while started < 2:
                line = launcher.stderr.readline()
                assert line, "ended before the program began"
                started += line == "started\n"
        finally:
            launcher.kill()
        launcher.communicate(timeout=60)  # returns when the last process has closed its standard error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--processes", "0", EXAMPLE], "--processes must be at least 1, given 0"),
        (["--processes", "2", "--devices", "0", EXAMPLE], "--devices must be at least 1, given 0"),
        (["--processes", "2", "--index", "1", EXAMPLE], "--index and --coordinator belong together"),
        (["--processes", "2", "--index", "2", "--coordinator", "a:1", EXAMPLE], "--index must be from 0 to 1, given 2"),
        (
            ["--processes", "2", "--index", "1", "--coordinator", "a", EXAMPLE],
            "--coordinator must be HOST:PORT, given 'a'",
        ),
        (["--processes", "2"], "the following arguments are required: PROGRAM"),
        (["--processes", "2", "absent.py"], "no such program: absent.py"),
    ],
    ids=["processes", "devices", "index_alone", "index", "coordinator", "no_program", "absent_program"],
)
def test_usage(capsys, arguments, words):
    with pytest.raises(SystemExit) as raised:
        launch.main(arguments)
    assert raised.value.code == 2
    assert words in capsys.readouterr().err
