"""`multilstm bench` on the command line: refusals, files, a comparison, an interruption, and one real run."""

import json

import bench_results as made
import pytest
from marks import needs

from multilstm.bench import grids, run
from multilstm.bench.results import Benchmark
from multilstm.bench.rounds import Method
from multilstm.bench.shapes import Shape
from multilstm.cli.app import main
from multilstm.spec import LSTM, Dense, Sequential

TINY = grids.Grid(
    "tiny", "one shape", 10.0, (grids.FORWARD,), Method(rounds=1, pause_s=0.0, measured_s=0.01), (Shape(2, 3, 2, 4),)
)


def call(*arguments):
    with pytest.raises(SystemExit) as raised:
        main(["bench", *arguments])
    return raised.value.code


@pytest.fixture
def fake(monkeypatch):
    """Replace the measurement by the rows of `bench_results.usual`; returns a list of functions that act before it."""
    before = []

    def measure(plan, result, follow):
        for act in before:
            act()
        result.rows += made.usual().rows
        result.workloads = made.usual().workloads

    monkeypatch.setattr(run.Plan, "run", measure)
    return before


@pytest.fixture
def model(tmp_path):
    """Return a function that writes a model of Keras's JSON and returns its path."""

    def write(**arguments):
        spec = Sequential([LSTM(3, **arguments), Dense(2, **arguments)], input_shape=(None, 2))
        (tmp_path / "model.json").write_text(spec.to_json(), encoding="utf-8")
        return str(tmp_path / "model.json")

    return write


REFUSED = {
    "engine": (("--engine", "keras"), 2, "unknown engine 'keras': expected one of jax-scan, "),
    "mode": (("--mode", "fly"), 2, "unknown mode 'fly': expected one of forward, gradient, train, predict, fit"),
    "grid": (("--grid", "all"), 2, "unknown grid 'all': expected one of quick, published, latency, seeds, long, drawn"),
    "dtype": (("--dtype", "int8"), 2, "int8"),
    "tf32_on_a_cpu": (("--dtype", "tf32"), 4, "tf32 is how GPUs round"),
    "device": (("--device", "tpu"), 2, "tpu"),
    "sizes_of_a_grid": (("--batch", "3"), 2, "--batch: for a MODEL, but none is given"),
    "sizes_text": (("--timesteps", "3,x"), 2, "expected whole numbers, such as 1,8,64, given '3,x'"),
    "rounds": (("--rounds", "0"), 2, "--rounds must be at least 1, given 0"),
    "pause": (("--pause", "nan"), 2, "--pause must be from 0 to 3600 seconds, given nan"),
    "timeout": (("--timeout", "0"), 2, "--timeout must be above 0"),
    "fail_above": (("--fail-above", "5"), 2, "--fail-above is for --compare, which is not given"),
    "fail_above_negative": (("--fail-above", "-5", "--compare", "old.json"), 2, "--fail-above must be a finite number"),
    "fail_above_nan": (("--fail-above", "nan", "--compare", "old.json"), 2, "--fail-above must be a finite number"),
    "fail_above_inf": (("--fail-above", "inf", "--compare", "old.json"), 2, "--fail-above must be a finite number"),
    "seed": (("--grid", "drawn", "--seed", "-1"), 2, "--seed must not be negative, given -1"),
    "both_streams": (("--json", "-", "--html", "-"), 2, "both standard output"),
    "old_missing": (("--compare", "none.json"), 4, "cannot read 'none.json'"),
    "no_model": (("none.keras",), 4, "cannot read 'none.keras': there is no such file"),
    "no_name_of_a_model": (("none",), 2, "model 'none': expected a model file"),
    "model_and_grid": (("none.keras", "--grid", "quick"), 2, "give one of the two"),
    "a_mode_that_it_lacks": (("--engine", "onnxruntime", "--mode", "fit"), 2, "engine 'onnxruntime' computes forward"),
}


@pytest.mark.parametrize("key", REFUSED)
def test_bad_input_is_refused_in_one_line(key, fake, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, code, message = REFUSED[key]
    fake.append(lambda: pytest.fail("it ran"))
    assert call(*arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert message in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in err


def test_a_frozen_model_is_refused_for_training_and_predicts_by_default(model, fake, capsys):
    path = model(trainable=False)
    assert call(path, "--mode", "fit") == 4
    assert "no weight of it is trained" in capsys.readouterr().err
    chosen = []
    fake.append(lambda: chosen.append(True))
    assert call(path) == 0
    assert chosen


def test_sizes_that_the_model_fixes_are_refused(tmp_path, fake, capsys):
    spec = Sequential([LSTM(3)], input_shape=(5, 2), batch_size=4)
    (tmp_path / "model.json").write_text(spec.to_json(), encoding="utf-8")
    assert call(str(tmp_path / "model.json"), "--timesteps", "3") == 2
    assert "--timesteps is given, but the inputs of the model have fixed sizes" in capsys.readouterr().err


def test_the_answer_comes_first_and_files_are_written(model, fake, capsys, tmp_path):
    html, json_path = tmp_path / "b.html", tmp_path / "b.json"
    assert call(model(), "--json", str(json_path), "--html", str(html)) == 0
    out, err = capsys.readouterr()
    assert out.startswith("For this model on this machine: jax-scan")
    assert "about" in err
    assert Benchmark.read(str(json_path)).rows == made.usual().rows
    assert html.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_json_alone_on_standard_output(model, fake, capsys):
    assert call(model(), "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["benchmark"] == "multilstm bench"


def test_a_file_that_is_read_is_not_replaced(model, fake, capsys):
    path = model()
    assert call(path, "--json", path) == 2
    assert "is the file of the model" in capsys.readouterr().err


def test_a_slower_row_fails_on_request_alone(model, fake, capsys, tmp_path):
    old = made.usual()
    old.rows[0] = made.row("small 4x10", "forward", "jax-scan", 0.0008)
    old.write(str(tmp_path / "old.json"))
    arguments = (model(), "--compare", str(tmp_path / "old.json"))
    assert call(*arguments) == 0
    assert "1.25 slower" in capsys.readouterr().out
    assert call(*arguments, "--fail-above", "30") == 0
    assert call(*arguments, "--fail-above", "20") == 1


@pytest.mark.parametrize(
    ("end", "code"), [(KeyboardInterrupt(), 130), (SystemExit(143), 143)], ids=["ctrl_c", "sigterm"]
)
def test_an_interrupted_run_keeps_what_it_has(model, monkeypatch, capsys, tmp_path, end, code):
    def measure(plan, result, follow):
        result.rows += made.usual().rows[:1]
        result.workloads = made.usual().workloads
        raise end

    monkeypatch.setattr(run.Plan, "run", measure)
    path = tmp_path / "b.json"
    assert call(model(), "--json", str(path)) == code
    result = Benchmark.read(str(path))
    assert result.interrupted
    assert len(result.rows) == 1
    assert ("interrupted" in capsys.readouterr().err) == (code == 130)


def test_a_file_that_cannot_be_written_leaves_the_table(model, fake, capsys, tmp_path):
    path = tmp_path / "b.json"
    fake.append(path.mkdir)  # after the check of the options
    assert call(model(), "--json", str(path)) == 4
    out, err = capsys.readouterr()
    assert out.startswith("For this model on this machine: jax-scan")
    assert str(path) in err


def test_nothing_timed_is_an_error(model, monkeypatch, capsys):
    def measure(plan, result, follow):
        result.rows += made.usual().rows[-1:]
        result.workloads = made.usual().workloads

    monkeypatch.setattr(run.Plan, "run", measure)
    assert call(model()) == 3
    out, err = capsys.readouterr()
    assert "nothing was timed" in out
    assert "see above for the reason" in err


def test_report_shows_benchmarks(tmp_path, capsys):
    made.usual().write(str(tmp_path / "b.json"))
    with pytest.raises(SystemExit) as raised:
        main(["report", str(tmp_path / "b.json"), "--html", str(tmp_path / "b.html")])
    assert raised.value.code == 0
    assert capsys.readouterr().out == f"Written: {tmp_path / 'b.html'}\n"
    assert "multilstm bench" in (tmp_path / "b.html").read_text(encoding="utf-8")
    with pytest.raises(SystemExit) as raised:
        main(["report", str(tmp_path / "b.json"), "--junit", str(tmp_path / "b.xml")])
    assert raised.value.code == 2
    assert "give --html" in capsys.readouterr().err


@needs("jax-scan")
def test_a_grid_of_one_shape(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(grids.GRIDS, "tiny", TINY)
    path = tmp_path / "b.json"
    assert call("--grid", "tiny", "--engine", "jax-scan", "--json", str(path)) == 0
    out, err = capsys.readouterr()
    assert "2x3x2x4 forward: round 1 of 1" in err
    assert "jax-scan in the forward pass; answers agree to" in out
    assert out.splitlines()[-1] == f"Written: {path}"
    (row,) = Benchmark.read(str(path)).rows
    assert row.failure is None
    assert row.error < 1e-6
    assert row.samples
