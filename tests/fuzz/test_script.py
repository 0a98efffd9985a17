"""Reproducers: at most 25 lines that run with their framework alone, and exit with 1 as long as the answers differ."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from multilstm.engines.registry import ENGINES, EngineRow
from multilstm.frameworks.xla_flags import EXACT_SUMS
from multilstm.fuzz.sample import Sample
from multilstm.fuzz.script import LINES, WIDTH, Reproducer, script
from multilstm.fuzz.strategies import draw_samples
from multilstm.spec import LSTM, Bidirectional, Dense, Embedding, Input, Masking, MaxNorm, Model, Sequential
from multilstm.spec.source import PORTABLE

ROOT = pathlib.Path(__file__).parents[2]
SMALL = Sequential([Bidirectional(LSTM(1, return_sequences=True)), LSTM(2, use_bias=False), Dense(1)], (None, 1))
SEVERAL = Model(source := Input((3, 2)), LSTM(1, return_sequences=True, return_state=True, go_backwards=True)(source))
SAMPLES = {
    "stack": Sample(SMALL, batch=2, timesteps=3),
    "several_outputs": Sample(SEVERAL, batch=1, timesteps=3),
    "masked": Sample(Sequential([Masking(0.5), LSTM(1)], (None, 2)), batch=1, timesteps=3, mask=((True, False, True),)),
    "mask_given": Sample(Sequential([LSTM(1)], (None, 2)), batch=2, timesteps=2, mask=((True, False), (True, True))),
    "tokens": Sample(Sequential([Embedding(3, 1), LSTM(1)], (2,), input_dtype="int32"), batch=2, timesteps=2),
    "penalised": Sample(
        Sequential(
            [LSTM(2, kernel_regularizer="l2", bias_constraint="non_neg"), Dense(1, kernel_constraint=MaxNorm())],
            (None, 2),
        ),
        batch=2,
        timesteps=2,
    ),
    "keras2": Sample(Sequential([LSTM(1, recurrent_activation="hard_sigmoid_keras2")], (2, 1)), batch=1, timesteps=2),
    "gradient": Sample(SMALL, batch=2, timesteps=3, loss="mean_squared_error"),
}


SEVERAL_SCRIPTS = """
import runpy, sys
for path in sys.argv[1:]:
    try:
        runpy.run_path(path)
    except SystemExit as end:
        print(f"{path} ended with {int(end.code)}", flush=True)
"""


@pytest.fixture(scope="module")
def agreeing(tmp_path_factory):
    """Run the scripts of all samples on PyTorch in one process, because its import takes seconds."""
    folder, paths = tmp_path_factory.mktemp("scripts"), []
    for name, sample in SAMPLES.items():
        paths.append(folder / f"{name}.py")
        paths[-1].write_text(script(Reproducer(sample, "keras-torch", "float64", "plain", "of it")))
    command = [sys.executable, "-c", SEVERAL_SCRIPTS, *map(str, paths)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return {path.stem: (path.read_text(), f"{path} ended with 0" in done.stdout, done.stdout) for path in paths}


def run(text, folder):
    path = folder / "reproducer.py"
    path.write_text(text)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, env=environment, timeout=300, check=False
    )


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("layers", ["plain", "portable"])
def test_it_is_short_python(number, layers):
    for sample in draw_samples(number, 10):
        for engine in ("keras-torch", "jax-scan"):
            text = script(Reproducer(sample, engine, "float64", layers, 'said "so" \\ of it'))
            compile(text, "reproducer", "exec")
            assert len(text.splitlines()) <= LINES
            assert max(map(len, text.splitlines()[:3])) <= WIDTH


def test_plain_it_needs_keras_and_numpy_alone():
    for name, sample in SAMPLES.items():
        text = script(Reproducer(sample, "keras-jax", "float32", "plain", "of it"))
        assert set(re.findall(r"^(?:from|import) (\w+)", text, re.MULTILINE)) == {
            *("os", "keras", "numpy"),
            *(["multilstm"] if name == "keras2" else []),  # for the activation that Keras 3 lacks
        }


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.skipif(bool(ENGINES["keras-torch"].missing), reason="keras or torch is not installed")
def test_where_the_answers_agree_it_exits_with_0(name, agreeing):
    text, agreed, printed = agreeing[name]
    assert "keras-torch" not in text.split('"""')[2]
    assert agreed, printed


@pytest.mark.parametrize("engine", ["keras-tensorflow", "keras-jax", "keras-torch"])
def test_where_they_differ_it_exits_with_1(engine, tmp_path):
    if ENGINES[engine].missing:
        pytest.skip(f"{', '.join(ENGINES[engine].missing)} is not installed")
    text = script(Reproducer(SAMPLES["gradient"], engine, "float64", "portable", "of it"))
    wrong = text.replace("set_weights([draw(", "set_weights([-draw(")
    assert wrong != text
    done = run(wrong, tmp_path)
    assert done.returncode == 1
    assert done.stdout.startswith("actual\n"), done.stderr


def test_a_script_for_an_engine_without_keras_uses_multilstm(tmp_path):
    text = script(Reproducer(SAMPLES["stack"], "jax-scan", "float64", "portable", "of it"))
    assert "keras" not in text.split('"""')[2].split("sample_from_json(")[0]
    done = run(text.replace("jax-scan", "reference"), tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["own", "keras-own"])
@pytest.mark.parametrize(("target", "code"), [("MaskIgnored", 1), ("InputGradientDoubled", 0)])
def test_a_script_for_an_engine_of_ones_own_registers_it(tmp_path, monkeypatch, name, target, code):
    row = EngineRow(name, f"faulty:{target}", ("numpy",), None, {"OWN": "1"}, (EXACT_SUMS,))
    monkeypatch.setitem(ENGINES, name, row)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(ROOT), str(pathlib.Path(__file__).parent))))
    masked = Sample(Sequential([LSTM(1, unroll=True)], (3, 2)), batch=1, timesteps=3, mask=((True, False, True),))
    path = tmp_path / "reproducer.py"
    path.write_text(script(Reproducer(masked, name, "float64", "portable", "of it")))
    assert len(path.read_text().splitlines()) <= LINES
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == code, done.stderr
    assert ("ParityError" in done.stderr) == (code == 1)


def test_portable_layers_are_named():
    from multilstm.spec.layers import LAYERS

    source = "".join(path.read_text() for path in (ROOT / "multilstm" / "keras_layers").glob("*.py"))
    named = {layer.__name__ for layer in LAYERS if f"\nclass {layer.__name__}(" in source}
    assert named == set(PORTABLE)
