"""`python -m multilstm.bench.training`: contestants, devices and skipped contestants."""

import json

import pytest

from multilstm.bench import training
from multilstm.bench.results import FORMAT
from multilstm.engines.registry import ENGINES
from multilstm.errors import EngineUnavailableError


def run(*arguments):
    training.app(arguments, exit_on_error=False, result_action="return_value")


@pytest.fixture
def workers(monkeypatch):
    """Replace the workers by fakes that answer without training.

    Returns the messages by contestant, and a set: contestants whose names are added to it find no GPU.
    """
    messages, without_gpu = {}, set()

    class Fake:
        def __init__(self, name, service, device, environment, home):
            self._name, self._device = name, device

        def call(self, message, timeout_s):
            messages[self._name] = self._device, message
            if message["device"] == "gpu" and self._name in without_gpu:
                raise EngineUnavailableError("no GPU: there is none")
            steps = message["steps"]
            return {"seconds": [1.0] * steps, "losses": [0.5] * steps, "implementation": f"kernel of {self._name[:5]}"}

        def kill(self):
            pass

    monkeypatch.setattr(training, "Worker", Fake)
    return messages, without_gpu


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_all_train_on_the_device_of_the_option(workers, device, tmp_path):
    run("--steps", "2", "--device", device, "--json", str(tmp_path / "r.json"))
    assert workers[0] == dict.fromkeys(training.TRAINERS, (device, {"steps": 2, "device": device}))
    data = json.loads((tmp_path / "r.json").read_text())
    assert (data["format"], data["benchmark"], data["device"]) == (FORMAT, "training", device)
    assert tuple(data["contestants"]) == training.TRAINERS


def test_a_contestant_without_a_gpu_is_skipped_with_the_reason(workers, tmp_path, capsys):
    workers[1].add("keras-tensorflow")
    run("--steps", "2", "--device", "gpu", "--json", str(tmp_path / "r.json"))
    assert "skipped keras-tensorflow: no GPU: there is none\n" in capsys.readouterr().err
    assert json.loads((tmp_path / "r.json").read_text())["contestants"].keys() == {
        "jax-scan", "keras-jax", "keras-torch",
    }  # fmt: skip


def test_a_named_contestant_without_a_gpu_is_an_error(workers):
    workers[1].add("keras-tensorflow")
    with pytest.raises(EngineUnavailableError, match="no GPU: there is none"):
        run("--contestant", "jax-scan", "keras-tensorflow", "--device", "gpu", "--steps", "2")


def test_it_is_an_error_if_no_contestant_finds_a_gpu(workers, tmp_path, capsys):
    workers[1].update(training.TRAINERS)
    with pytest.raises(EngineUnavailableError, match="nothing was trained on the gpu; see above"):
        run("--device", "gpu", "--json", str(tmp_path / "r.json"))
    assert capsys.readouterr().err.count("skipped ") == len(training.TRAINERS)
    assert not (tmp_path / "r.json").exists()


def test_kernels_are_shown_with_their_contestants(workers, capsys):
    run("--steps", "2")
    lines = capsys.readouterr().out.splitlines()
    assert "computed by jax-scan: kernel of jax-s" in lines
    assert "computed by keras-jax, keras-tensorflow, keras-torch: kernel of keras" in lines


@pytest.mark.parametrize(
    ("name", "kernel"),
    [
        ("jax-scan", "XLA's loop"),
        ("keras-jax", "XLA's loop"),
        ("keras-tensorflow", "tf.while_loop"),
        ("keras-torch", "ATen"),
    ],
)
def test_the_first_step_of_a_trainer(name, kernel, tmp_path):
    if ENGINES[name].missing:
        pytest.skip(f"{', '.join(ENGINES[name].missing)} is not installed")
    run("--contestant", name, "--steps", "1", "--json", str(tmp_path / "r.json"))
    result = json.loads((tmp_path / "r.json").read_text())["contestants"][name]
    assert result["implementation"] == kernel
    assert result["losses"] == [pytest.approx(0.6957, abs=1e-4)]


@pytest.mark.skipif(bool(ENGINES["jax-scan"].missing), reason="jax is not installed")
def test_a_trainer_without_a_gpu_is_an_error_in_one_line(refused):
    """`test_measure.py` tests this for every framework, with the contestants of `bench.scan`."""
    message = refused(run, "--contestant", "jax-scan", "--device", "gpu", "--steps", "1")
    assert "no GPU: " in message
    assert "\n" not in message
