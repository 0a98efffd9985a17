"""The command line as a user meets it: exit codes, one-line errors, where output goes."""

import os
import pathlib
import subprocess
import sys

import pytest
from marks import needs
from run_lines import cells_of, lines_of

from multilstm.cli.app import main
from multilstm.spec import LSTM, Dense, Sequential

ROOT = str(pathlib.Path(__file__).parents[2])
SPEC = Sequential([LSTM(4, return_sequences=True), Dense(2)], input_shape=(None, 3))
needs_jax = needs("jax-scan")


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Call `multilstm ...` in an empty folder; the process is that of the tests, since a new one takes a second."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments):
        monkeypatch.delitem(sys.modules, "models", raising=False)  # the module of another test
        capsys.readouterr()
        with pytest.raises(SystemExit) as raised:
            main([str(argument) for argument in arguments])
        return subprocess.CompletedProcess(arguments, raised.value.code, *capsys.readouterr())

    return call


@pytest.fixture
def start(tmp_path):
    """Run `multilstm ...` in an empty folder, in a process of its own."""
    path = os.pathsep.join(filter(None, (ROOT, os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "80", "NO_COLOR": "1"}

    def call(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "multilstm", *arguments],
            capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=300, check=False,
        )  # fmt: skip

    return call


@pytest.fixture
def model(tmp_path):
    (tmp_path / "model.json").write_text(SPEC.to_json())
    return "model.json"


ONE_CASE = "seed4-one-feature"
ONE_JOB = ("--case", ONE_CASE, "--engine", "reference", "--dtype", "float32", "--quantity", "hidden")
COMMANDS = ("", "parity", "report", "doctor", "summary", "diff", "fuzz")


@pytest.mark.parametrize("command", [name.split() for name in COMMANDS], ids=lambda c: " ".join(c) or "alone")
def test_help_exits_with_0_and_fits_80_columns(run, command):
    done = run(*command, "--help")
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_version(start):
    from multilstm import __version__

    assert start("--version").stdout.strip() == __version__


PROCESSES = {
    "usage": (["parity", "--engine", "kears-jax"], 2, "unknown engine 'kears-jax': expected one of reference, keras-"),
    "input": (["summary", "nothing.json"], 4, "multilstm: cannot read 'nothing.json': No such file or directory"),
    "module": (["summary", "models:raises"], 4, "ZeroDivisionError"),
    "nothing_runs": (["parity", "--python", "reference=/nothing"], 3, "No such file or directory"),
    "agreement": (["parity", *ONE_JOB], 0, "Same answers on reference"),
    "divergence": (["diff", "model.json", "other.json"], 1, "go_backwards is False, then True"),
}


@pytest.mark.parametrize(("arguments", "code", "words"), PROCESSES.values(), ids=PROCESSES)
def test_a_process_ends_with_the_code_and_prints_the_words(start, model, tmp_path, arguments, code, words):
    (tmp_path / "models.py").write_text("def raises(): return 1 / 0\n")
    other = Sequential([LSTM(4, return_sequences=True, go_backwards=True), Dense(2)], input_shape=(None, 3))
    (tmp_path / "other.json").write_text(other.to_json())
    done = start(*arguments)
    assert done.returncode == code, done.stderr
    assert words in " ".join((done.stderr if code in (2, 3, 4) else done.stdout).split())
    assert "Traceback" not in done.stderr


USAGE = {
    "unknown_command": ["compare"],
    "unknown_engine": ["parity", "--engine", "kears-jax"],
    "unknown_case": ["parity", "--case", "seed9*"],
    "unknown_dtype": ["parity", "--dtype", "float8"],
    "unknown_layers": ["parity", "--layers", "other"],
    "unknown_quantity": ["parity", "--quantity", "colour"],
    "unknown_option": ["parity", "--nonsense"],
    "not_a_number": ["parity", "--atol", "small"],
    "negative_tolerance": ["parity", "--atol", "-1"],
    "nan_tolerance": ["parity", "--rtol", "nan"],
    "no_such_timeout": ["parity", "--timeout", "0"],
    **{f"memory_{size}": ["parity", "--memory", size] for size in ("0", "-1", "nan", "inf")},
    "memory_without_a_number": ["parity", "--memory"],
    "memory_0-fuzz": ["fuzz", "--memory", "0"],
    "model_is_neither": ["summary", "model"],
    "case_with_a_model": ["parity", "model.json", "--case", "seed1*"],
    "zero_batch": ["parity", "model.json", "--batch", "0"],
    "fractional_batch": ["parity", "model.json", "--batch", "1.5"],
    "seed_without_model": ["parity", "--seed", "1"],
    "fractional_timesteps": ["parity", "model.json", "--timesteps", "1.5"],
    "fractional_seed": ["fuzz", "--seed", "1.5"],
    "engine_without_a_name": ["parity", "--engine"],
    "dtype_without_a_name": ["parity", "--engine", "reference", "--dtype"],
    "quantity_without_a_name": ["parity", "--quantity", "--engine", "reference"],
    "case_without_a_name": ["parity", "--case"],
    "engine_without_a_name-doctor": ["doctor", "--engine"],
    "engine_without_a_name-fuzz": ["fuzz", "--engine"],
    "large_atol": ["parity", "--engine", "reference", "--atol", "1.5"],
    "inputs_without_a_model": ["parity", "--inputs", "x.npz"],
    "answers_without_a_model": ["parity", "--against", "y.npz"],
    "outputs_without_a_model": ["parity", "--save-outputs", "y.npz"],
    "batch_with_inputs": ["parity", "model.json", "--inputs", "x.npz", "--batch", "2"],
    "large_rtol": ["parity", "--engine", "reference", "--rtol", "2"],
}


@pytest.mark.parametrize("arguments", USAGE.values(), ids=USAGE)
def test_usage_errors_exit_with_2(run, model, arguments):
    done = run(*arguments)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()


@pytest.mark.parametrize("option", ["--atol", "--rtol"])
def test_a_large_tolerance_is_allowed_by_an_option(run, option):
    done = run("parity", *ONE_JOB, option, "1.5", "--any-tolerance")
    assert done.returncode == 0, done.stderr


def test_saved_inputs_and_answers_agree_with_the_reference(run, model, tmp_path):
    to = ["--engine", "reference", "--dtype", "float32", "--quantity", "output"]
    saved = run("parity", model, *to, "--save-inputs", "in.safetensors", "--save-outputs", "out.safetensors")
    assert saved.returncode == 0, saved.stderr
    done = run("parity", model, *to, "--inputs", "in.safetensors", "--against", "out.safetensors")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Same answers on recorded: 1 quantity, compared")
    assert "2 batches of 3 sequences from 'in.safetensors'" in " ".join(done.stdout.split())


def test_other_answers_exit_with_1_and_a_place(run, model, tmp_path):
    import numpy as np

    np.save(tmp_path / "x.npy", np.ones((1, 4, 3), np.float32))
    np.save(tmp_path / "y.npy", np.zeros((1, 4, 2), np.float32))
    done = run("parity", model, "--engine", "reference", "--inputs", "x.npy", "--against", "y.npy")
    assert done.returncode == 1, done.stderr
    assert "Different answers: recorded (1 quantity)." in " ".join(done.stdout.split())
    assert "first in output, timestep 0, row 0, unit 0" in " ".join(done.stdout.split())


def test_diff_exits_with_0_for_equal_models_and_1_for_others(run, model, tmp_path):
    same = run("diff", model, model)
    assert same.returncode == 0, same.stderr
    assert same.stdout.startswith("Same model: equal layers, weights and answers.")
    other = Sequential([LSTM(4, return_sequences=True, go_backwards=True), Dense(2)], input_shape=(None, 3))
    (tmp_path / "other.json").write_text(other.to_json())
    done = run("diff", model, "other.json")
    assert done.returncode == 1, done.stderr
    assert "LSTM 'lstm': go_backwards is False, then True (alone changes outputs by " in " ".join(done.stdout.split())
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_diff_states_that_the_training_of_compiled_models_is_not_compared(run, tmp_path):
    (tmp_path / "other.json").write_text(SPEC.to_json())
    (tmp_path / "two_trainings.py").write_text(
        "import dataclasses, multilstm\n"
        "def plain(): return multilstm.load('other.json')\n"
        "def trained(): return dataclasses.replace(plain(), training={'optimizer': 'adam', 'loss': 'mse'})\n"
    )
    done = run("diff", "two_trainings:plain", "two_trainings:trained")
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "Only the second has an optimizer and a loss, which are not compared." in said


def test_a_name_given_twice_counts_once(run):
    twice = ["--engine", "reference", "--dtype", "float32", "--quantity", "hidden", "--case", ONE_CASE]
    once, both = run("parity", *ONE_JOB, "--json", "-"), run("parity", *ONE_JOB, *twice, "--json", "-")
    counts = [len(cells_of(done.stdout)) for done in (once, both)]
    assert counts[0] == counts[1] > 0


def test_the_help_lists_the_exit_codes_of_all_errors(run):
    from multilstm import errors
    from multilstm.cli.exit_codes import EXIT_CODES

    codes = {error.exit_code for error in vars(errors).values() if hasattr(error, "exit_code")}
    assert codes <= EXIT_CODES.keys()
    text = run("--help").stdout
    assert all(f" {code}: " in text for code in EXIT_CODES)


def test_unknown_engine_names_those_that_exist(run):
    message = run("parity", "--engine", "kears-jax").stderr.replace("\n", " ")
    assert "unknown engine 'kears-jax': expected one of reference, " in message
    assert "keras-jax" in message.partition("expected")[2]


BAD_INPUT = {
    "no_such_file": (["summary", "nothing.json"], "No such file"),
    "no_such_module": (["summary", "nothing_here:model"], "No module named"),
    "broken_json": (["summary", "broken.json"], "JSON"),
    "not_utf8": (["summary", "binary.json"], "cannot read"),
    "function_raises": (["summary", "models:raises"], "ZeroDivisionError"),
    "function_returns_no_model": (["summary", "models:number"], "returned int"),
    "zero_units": (["summary", "models:zero_units"], "units must be a positive integer, got 0"),
    "folder_of_result_is_missing": (
        ["parity", "model.json", "--engine", "reference", "--json", "nowhere/r.json"], "cannot write",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "words"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_bad_input_exits_with_4_in_one_line(run, model, tmp_path, arguments, words):
    (tmp_path / "broken.json").write_text('{"class_name": "Sequential",')
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "models.py").write_text(
        "from multilstm import LSTM, Sequential\n"
        "def raises(): return 1 / 0\n"
        "def number(): return 3\n"
        "def zero_units(): return Sequential([LSTM(0)], input_shape=(None, 1))\n"
    )
    done = run(*arguments)
    assert done.returncode == 4, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("multilstm: ")]
    assert len(lines) == 1
    assert words in lines[0]
    assert "Traceback" not in done.stderr


def test_a_result_file_that_cannot_be_written_is_refused_before_anything_runs(run, model, tmp_path):
    done = run("parity", model, "--engine", "reference", "--json", "nowhere/r.json")
    assert "[1/" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json"]


def test_summary_of_keras_json(run, model):
    done = run("summary", model)
    assert done.returncode == 0
    assert "4*(features*units + units*units + units)" in done.stdout


def test_summary_of_a_function(run, tmp_path):
    (tmp_path / "models.py").write_text(
        "from multilstm import LSTM, Sequential\ndef small(): return Sequential([LSTM(1)], input_shape=(None, 2))\n"
    )
    assert "16" in run("summary", "models:small").stdout


MADE = pathlib.Path(__file__).parents[1] / "files" / "made"


def test_summary_of_a_file_begins_with_its_origin(run):
    done = run("summary", MADE / "keras-3.8.0.keras")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:3] == ["Format: Keras archive (.keras)", "Written by: Keras 3.8.0", "Weights: 17 arrays"]
    assert lines[4].startswith("Model functional")


@pytest.mark.parametrize("command", ["summary", "parity"])
def test_a_model_in_two_files(run, command):
    weights, config = MADE / "keras-3.8.0.weights.h5", MADE / "keras-3.8.0.json"
    options = ("--engine", "reference", "--dtype", "float64") if command == "parity" else ()
    for arguments in ((config, "--weights", weights), (weights, "--architecture", config)):
        done = run(command, *arguments, *options)
        assert done.returncode == 0, done.stderr
    done = run(command, weights, *options)
    assert done.returncode == 2
    assert "--architecture FILE" in done.stderr


def test_parity_computes_with_the_weights_of_the_file(run, tmp_path):
    for number, weights in enumerate(((), ("--weights", MADE / "keras-3.8.0.weights.h5"))):
        options = ("--engine", "reference", "--dtype", "float64", "--save-outputs", f"{number}.safetensors")
        assert run("parity", MADE / "keras-3.8.0.json", *weights, *options).returncode == 0
    contents = {(tmp_path / f"{number}.safetensors").read_bytes() for number in range(2)}
    assert len(contents) == 2


@needs_jax
def test_parity_of_a_model_agrees_and_writes_its_report(run, model, tmp_path):
    done = run("parity", model, "--engine", "jax-scan", "--json", "r.json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Same answers on jax-scan: ")
    written = (tmp_path / "r.json").read_text()
    assert lines_of(written)[0]["schema"] == 3
    assert {"case", "engine", "device", "dtype", "layers", "quantity", "verdict", "max_abs", "max_ulp", "tolerance",
            "seconds", "implementation", "message", "part", "digest"} <= cells_of(written)[0].keys()  # fmt: skip
    assert {cell["dtype"] for cell in cells_of(written)} == {"float32", "float64"}


@needs_jax
def test_json_alone_on_standard_output(run, model):
    done = run("parity", model, "--engine", "jax-scan", "--dtype", "float64", "--json", "-")
    assert cells_of(done.stdout)
    assert "Same answers on jax-scan: " in done.stderr


@pytest.mark.parametrize(
    ("arguments", "dtypes"),
    [
        ([], {"float32", "float64"}),
        (["--full"], {"float32", "float64", "mixed_bfloat16", "mixed_float16"}),
        (["--full", "--dtype", "float64"], {"float64"}),
    ],
    ids=["default", "full", "named"],
)
def test_a_run_computes_in_the_dtypes_of_its_options(run, arguments, dtypes):
    done = run("parity", "--case", "seed4-one-feature", "--engine", "reference", *arguments, "--json", "-")
    assert {cell["dtype"] for cell in cells_of(done.stdout)} == dtypes


@needs_jax
def test_a_divergence_exits_with_1_and_prints_its_place(run, model):
    done = run("parity", model, "--engine", "jax-scan", "--dtype", "float32", "--atol", "0", "--quantity", "hidden")
    assert done.returncode == 1
    text = " ".join(done.stdout.split())
    assert "hidden:lstm: " in text
    assert "worst at [" in text


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the memory of a process")
def test_a_worker_over_its_memory_is_an_error_of_its_engine(run):
    done = run("parity", *ONE_JOB, "--memory", "0.001")
    assert done.returncode == 1
    assert "out of memory: 0." in done.stdout
    assert "of 0.001 GB allowed" in done.stdout


@needs_jax
@needs("torch-lstm")
@pytest.mark.parametrize(("strict", "code"), [([], 0), (["--strict"], 1)], ids=["default", "strict"])
def test_strict_counts_unsupported_cases(run, strict, code):
    cases = ["--case", "seed5-masked", "seed4-one-feature", "--quantity", "hidden", "--dtype", "float32"]
    done = run("parity", "--engine", "jax-scan", "torch-lstm", *cases, *strict)
    assert done.returncode == code, done.stdout
    assert "1 case not executed by torch-lstm." in done.stdout


@needs_jax
@needs("torch-lstm")
def test_a_named_engine_that_executes_nothing_ends_with_3(run):
    cases = ["--case", "seed5-masked", "--quantity", "hidden", "--dtype", "float32"]
    done = run("parity", "--engine", "jax-scan", "torch-lstm", *cases)
    assert done.returncode == 3, done.stdout
    assert "torch-lstm executed nothing: LSTM 'lstm' is given a mask," in " ".join(done.stdout.split())


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no signal to one process")
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_ends_the_run_and_leaves_no_file_behind(name, code, tmp_path):
    import signal

    with subprocess.Popen(
        [sys.executable, "-m", "multilstm", "parity", "--engine", "reference"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ROOT, "TMPDIR": str(tmp_path)},
    ) as process:  # fmt: skip
        process.stderr.readline()  # the first job is done, the second under way
        process.send_signal(getattr(signal, name))
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert ("interrupted" in stderr) == (name == "SIGINT")
    assert "Traceback" not in stderr
    assert not list(tmp_path.iterdir())
