"""The memory that is free, and the memory that a session holds."""

import math
import os
import subprocess
import sys

import pytest

from multilstm.frameworks import machine

pytestmark = [pytest.mark.unit, pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports its memory")]
NAMES = ("memory.max", "memory.current", "inactive_file")


def container(folder, limit, used, cache):
    folder.mkdir()
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {cache}\n")
    return folder


@pytest.mark.parametrize(
    ("limit", "used", "cache", "free"),
    [
        (1_000_000, 300_000, 0, 700_000),
        (1_000_000, 300_000, 100_000, 800_000),
        (1_000_000, 1_500_000, 0, 0),
        ("max", 300_000, 0, None),
        (2**62, 300_000, 0, None),
    ],
    ids=["limit", "cache", "beyond", "no_limit", "no_limit_in_version_1"],
)
def test_the_free_memory_is_that_of_the_machine_or_of_its_container(monkeypatch, tmp_path, limit, used, cache, free):
    monkeypatch.setattr(machine, "_CONTAINERS", ())
    of_the_machine = machine.free_memory()
    assert 0 < of_the_machine <= machine.memory()
    monkeypatch.setattr(machine, "_CONTAINERS", ((container(tmp_path / "cgroup", limit, used, cache), *NAMES),))
    if free is None:
        assert machine.free_memory() == pytest.approx(of_the_machine, rel=0.2)
    else:
        assert machine.free_memory() == free


def test_the_memory_of_a_session_counts_its_children():
    child = "x = bytearray(b'x' * 100_000_000); print(flush=True); input()"
    leader = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    process = subprocess.Popen(
        [sys.executable, "-c", leader], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    with process:
        process.stdout.readline()
        assert 100_000_000 < machine.session_memory(process.pid) < 300_000_000
        process.stdin.write(b"\n")
    assert machine.session_memory(process.pid) == 0


def test_elsewhere_nothing_is_known(monkeypatch):
    monkeypatch.setattr(machine, "MEMORY_IS_WATCHED", False)
    assert (machine.free_memory(), machine.session_memory(os.getsid(0))) == (math.inf, 0)


@pytest.mark.skipif(not machine.MEMORY_IS_WATCHED, reason="Linux alone has these files")
def test_the_peak_of_memory_falls_to_the_present_size_when_it_is_forgotten():
    if not machine.forget_peak_memory():
        pytest.skip("the system forbids it")
    before = machine.peak_memory()
    block = bytearray(b"x") * 80_000_000
    assert machine.peak_memory() > before + 60_000_000
    del block
    machine.forget_peak_memory()
    assert machine.peak_memory() < before + 60_000_000
