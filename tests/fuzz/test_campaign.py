"""Campaigns: each finding is shrunk, written and counted once; an interrupted campaign continues where it ended."""

import functools
import io
import json
import os
import pathlib
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from multilstm.cases.case import Case
from multilstm.cases.recipes import GivenBatches
from multilstm.cli.fuzz import fuzz
from multilstm.engines import registry
from multilstm.engines.registry import EngineRow
from multilstm.errors import EngineUnavailableError, InputError, ParityError, UnsupportedError, WorkerError
from multilstm.execution.options import Options
from multilstm.fuzz import campaign as module
from multilstm.fuzz import check, open_campaign, run_campaign, sample_from_json, shrink_failures
from multilstm.fuzz.patience import ImpatientPool
from multilstm.fuzz.rendering import show_campaign
from multilstm.fuzz.sample import Sample, sample_of
from multilstm.fuzz.script import LINES
from multilstm.jobs.job import Batch
from multilstm.spec import LSTM, Dense, Embedding, Input, Masking, Model, Sequential, TimeDistributed
from multilstm.suite.compare_cases import compare_cases

ROOT = pathlib.Path(__file__).parents[2]
MASK = ((True, False, True), (True, True, False))
UNROLLED = Sequential([LSTM(3, return_sequences=True), LSTM(2, unroll=True, go_backwards=True), Dense(2)], (3, 2))
DRAWN = [
    Sample(UNROLLED, batch=2, timesteps=3, mask=MASK),
    Sample(Sequential([LSTM(2, unroll=True)], (3, 1)), batch=2, timesteps=3, mask=MASK, seed=3),
    Sample(Sequential([LSTM(2)], (3, 1)), batch=2, timesteps=3, mask=MASK),
    Sample(Sequential([LSTM(2, unroll=True)], (3, 1)), batch=2, timesteps=3, loss="mean_squared_error"),
]


@pytest.fixture
def engine(monkeypatch):
    """Register an engine of faulty.py under the name `faulty`."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(pathlib.Path(__file__).parent), str(ROOT)]))

    def register(name):
        monkeypatch.setitem(registry.ENGINES, "faulty", EngineRow("faulty", f"faulty:{name}", ("numpy",), None, {}))
        return "faulty"

    return register


@pytest.fixture
def faulty(engine):
    return engine("MaskIgnored")


def go(folder, engine, seconds=0.0, seed=0, draw=lambda number, count: DRAWN):
    said = []
    campaign = open_campaign(folder, seed, "portable")
    run_campaign(campaign, folder, [engine], "cpu", seconds, draw, said.append)
    return campaign, said


def test_similar_failures_are_shrunk_and_counted_once(faulty, tmp_path):
    campaign, said = go(str(tmp_path), faulty)
    ((name, finding),) = campaign.findings.items()
    assert (finding.samples, finding.symptom, finding.part) == (2, "semantics", "forward")
    assert finding.traits == ["LSTM unroll=True", "mask"]
    assert "as if the mask were ignored" in finding.title
    sample = sample_from_json((tmp_path / f"{name}.json").read_text())
    (lstm,) = sample.spec.lstms.values()
    assert lstm == LSTM(1, unroll=True, name=lstm.name)
    assert (sample.batch, sample.loss, sample.seed) == (1, None, 0)
    assert len((tmp_path / f"{name}.py").read_text().splitlines()) <= LINES
    assert (campaign.samples, campaign.ran) == (4, {"faulty": 4})
    assert [line.split(":")[0] for line in said] == ["round 1", "faulty", "round 1, float64"]
    assert said[0] == "round 1: shrinking the new ones of 2 failures"


def test_a_gradient_of_inputs_is_distinguished_from_one_of_weights(engine, tmp_path):
    campaign, _ = go(str(tmp_path), engine("InputGradientDoubled"))
    ((name, finding),) = campaign.findings.items()
    assert (finding.samples, finding.symptom, finding.part) == (1, "input_gradient", "gradient")
    assert finding.title.startswith("input_gradient:")
    assert "check(sample" in (tmp_path / f"{name}.py").read_text()


def test_the_reproducer_fails_as_long_as_the_engine_does(faulty, tmp_path):
    sample = DRAWN[1]
    with pytest.raises(ParityError, match="as if the mask were ignored"):
        check(sample, faulty, "float64", "portable")
    check(DRAWN[2], faulty, "float64", "portable")


def test_it_goes_on_where_it_was_left(faulty, tmp_path):
    go(str(tmp_path), faulty)
    asked = []
    second, _ = go(str(tmp_path), faulty, draw=lambda number, count: asked.append((number, count)) or DRAWN)
    assert asked == [(1, module.ROUND)]
    assert (second.rounds, second.samples) == (2, 8)
    ((_, finding),) = second.findings.items()
    assert finding.samples == 4
    assert len(list(tmp_path.glob("*.py"))) == 1


def test_a_round_that_is_broken_off_is_not_counted(faulty, tmp_path):
    def interrupted(number, count):
        raise KeyboardInterrupt

    go(str(tmp_path), faulty)
    before = (tmp_path / "campaign.json").read_text()
    with pytest.raises(KeyboardInterrupt):
        go(str(tmp_path), faulty, draw=interrupted)
    assert (tmp_path / "campaign.json").read_text() == before


def test_an_engine_that_hangs_is_left_out_of_the_rest_of_a_round(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT_S", 5.0)
    monkeypatch.setattr(module, "SHRINK_S", 0.0)
    campaign, _ = go(str(tmp_path), engine("Hanging"))
    ((_, finding),) = campaign.findings.items()
    assert (finding.samples, finding.symptom) == (1, "timeout")
    assert "no answer after 5 s" in finding.title
    assert (campaign.samples, campaign.ran) == (4, {"faulty": 1})
    assert campaign.verdicts["faulty unsupported"] > campaign.verdicts["faulty error"]


def test_a_pool_of_a_round_repeats_other_errors_and_waits_for_the_reference():
    def failing(engine, job):
        raise WorkerError("lost", kind=job)

    pool = ImpatientPool(SimpleNamespace(execute=failing))
    kinds = [("a", "crash"), ("a", "timeout"), ("reference", "timeout"), ("reference", "timeout"), ("b", "memory")]
    for name, kind in kinds:
        with pytest.raises(WorkerError, match="lost"):
            pool.execute(name, kind)
    with pytest.raises(UnsupportedError, match="left out after a time-out in this round: lost"):
        pool.execute("a", "crash")


def test_all_agree_leaves_no_finding(tmp_path):
    campaign, _ = go(str(tmp_path), "reference")
    assert campaign.findings == {}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["campaign.json"]
    assert campaign.verdicts["reference bitwise"] > 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "this is not JSON"),
        ('{"seed": 1, "layers": "plain"}', "--seed 1"),
    ],
    ids=["broken", "of_another_seed"],
)
def test_a_folder_that_cannot_go_on_is_refused(tmp_path, content, said):
    (tmp_path / "campaign.json").write_text(content)
    with pytest.raises(InputError, match=said):
        open_campaign(str(tmp_path), 0, "plain")


def test_options_of_layers_inside_of_a_model_are_traits():
    words = Sequential([LSTM(2, unroll=True)], (3, 1), name="words")
    spec = Sequential([TimeDistributed(words)], (2, 3, 1))
    assert module.traits(Sample(spec)) == {"TimeDistributed", "InnerModel", "LSTM unroll=True"}


def test_branches_and_states_are_traits():
    source = Input((2, 2))
    _, hidden, cell = LSTM(2, return_state=True)(source)
    spec = Model(source, LSTM(2, "relu")(source, initial_state=[hidden, cell]))
    assert module.traits(Sample(spec, states=("lstm",))) == {
        "LSTM return_state=True", "LSTM activation='relu'", "states", "initial_state",
    }  # fmt: skip


def command(folder, *arguments, path=()):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*path, str(ROOT)]), "COLUMNS": "80", "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, "-m", "multilstm", "fuzz", *arguments],
        cwd=folder, capture_output=True, text=True, env=environment, timeout=300, check=False,
    )  # fmt: skip


def test_command_line(tmp_path):
    done = command(tmp_path, "--seconds", "0", "--engine", "reference", "--seed", "3")
    assert done.returncode == 0, done.stderr
    assert "same answers" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert json.loads((tmp_path / "multilstm-fuzz" / "campaign.json").read_text())["samples"] > 10


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--seconds", "-1"], 2, "--seconds"),
        (["--seed", "-1"], 2, "--seed"),
        (["--engine", "keras"], 2, "unknown engine"),
        (["--folder", "/dev/null/x"], 4, "folder"),
    ],
    ids=["seconds", "seed", "engine", "folder"],
)
def test_usage(tmp_path, arguments, code, said):
    done = command(tmp_path, *arguments)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_without_hypothesis_one_line_names_the_package_to_install(tmp_path):
    (tmp_path / "hypothesis.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'hypothesis'\", name='hypothesis')\n"
    )
    done = command(tmp_path, "--engine", "reference", path=[str(tmp_path)])
    assert done.returncode == 3
    assert done.stderr.strip() == (
        "multilstm: multilstm fuzz needs the package hypothesis, which is not installed here; "
        "install it with: pip install 'multilstm[fuzz]'"
    )


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_keeps_the_finished_rounds_and_ends_the_workers(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "home")}
    (tmp_path / "home").mkdir()
    with subprocess.Popen(
        [sys.executable, "-m", "multilstm", "fuzz", "--seconds", "100", "--engine", "reference"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment,
    ) as process:  # fmt: skip
        assert "round 1" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert json.loads((tmp_path / "multilstm-fuzz" / "campaign.json").read_text())["rounds"] >= 1
    assert list((tmp_path / "home").iterdir()) == []  # the workers' private folders went with them


def test_divergences_of_cases_are_shrunk_too(faulty, tmp_path):
    """A case of the catalogue, or of a user: its model and sizes, with other numbers."""
    spec = Sequential([Masking(-1.0), LSTM(3, unroll=True), Dense(2)], (4, 2))
    inputs = np.random.default_rng(0).random((5, 4, 2)).astype("float32")
    inputs[2, 1:] = -1.0
    case = Case("given", "", spec, GivenBatches((Batch({"input_layer": inputs}),)))
    options = Options((faulty,), ("float32", "float64"))
    said = []
    campaign = shrink_failures(
        (case,), compare_cases((case,), options).cells, options, str(tmp_path / "new"), said.append
    )
    ((name, finding),) = campaign.findings.items()
    assert finding.traits == ["LSTM unroll=True", "mask"]
    assert "as if the mask were ignored" in said[0]
    assert (tmp_path / "new" / f"{name}.py").exists()


def test_sample_of_a_case_keeps_sizes_and_mask():
    spec = Sequential([Embedding(5, 2, mask_zero=True), LSTM(2)], (None,), input_dtype="int32")
    tokens = np.array([[1, 0, 3], [2, 2, 0]], np.int32)
    sample = sample_of(Case("given", "", spec, GivenBatches((Batch({"input_layer": tokens}),))))
    assert (sample.batch, sample.timesteps, sample.mask) == (2, 3, ((True, False, True), (True, True, False)))


@pytest.mark.parametrize(("ran", "code"), [({}, None), ({"reference": 3}, 0)], ids=["nothing", "some"])
def test_a_named_engine_that_executes_no_model_is_an_error(monkeypatch, tmp_path, ran, code):
    monkeypatch.setattr("multilstm.fuzz.run_campaign", lambda campaign, *_: campaign.ran.update(ran))
    run = functools.partial(fuzz, engine=("reference",), folder=str(tmp_path / "folder"))
    if code is None:
        with pytest.raises(EngineUnavailableError, match="reference executed none of these models"):
            run()
    else:
        assert run() == code


def test_known_differences_are_counted(tmp_path):
    campaign = module.Campaign(0, "plain", samples=5, ran={"keras-jax": 5})
    campaign.verdicts = {"keras-jax rounded": 90, "keras-jax known": 4, "keras-torch known": 3}
    console = Console(file=io.StringIO(), width=200)
    show_campaign(campaign, str(tmp_path), console)
    assert "same answers, and 7 known differences" in console.file.getvalue()
