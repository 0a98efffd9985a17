"""The energy of a GPU, with a fake NVML."""

import types

import pytest

from multilstm.bench import energy


class NVMLError(Exception):
    pass


def nvml(*, counter=True):
    """Return a fake of pynvml, whose counter grows by 1500 mJ with each reading."""
    readings = iter(range(0, 100_000, 1500))

    def read(handle):
        if not counter:
            raise NVMLError
        return next(readings)

    return types.SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetTotalEnergyConsumption=read,
    )


def test_joules_are_the_difference_of_two_readings(monkeypatch):
    monkeypatch.setattr(energy.importlib, "import_module", lambda name: nvml())
    joules = energy.joules_counter("gpu")
    before = joules()
    assert joules() - before == pytest.approx(1.5)


def test_no_energy_on_a_cpu_without_pynvml_or_without_the_counter(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError

    assert energy.joules_counter("cpu") is None
    monkeypatch.setattr(energy.importlib, "import_module", missing)
    assert energy.joules_counter("gpu") is None
    monkeypatch.setattr(energy.importlib, "import_module", lambda name: nvml(counter=False))
    assert energy.joules_counter("gpu") is None
