"""Diagnoses for the tests of the doctor, and their text at a terminal."""

import dataclasses
import io

from rich.console import Console

from multilstm import doctor
from multilstm.doctor import Diagnosis, EngineDiagnosis
from multilstm.frameworks.self_test import SelfTest

PASS = SelfTest("sums, float32", True, "9 shapes, exact")
FAIL = SelfTest("sums, float64", False, "1 of 3 wrong")
MACHINE = {"multilstm": "1.2.3", "python": "3.12.1", "platform": "Linux x86_64", "processor": "a processor", "cores": 8}
FLAG = "--xla_cpu_experimental_ynn_fusion_type="

REFERENCE = EngineDiagnosis("reference", "ready", versions={"numpy": "2.0"}, devices=("cpu",), self_test=(PASS,))
READY = dataclasses.replace(REFERENCE, name="jax-scan", versions={"jax": "0.9", "jaxlib": "0.9"})
WRONG = dataclasses.replace(READY, self_test=(PASS, FAIL))
MISSING = EngineDiagnosis("keras-torch", "unavailable", "not installed: torch", "pip install 'multilstm[torch]'")
BROKEN = EngineDiagnosis("torch-lstm", "broken", "its worker ended", stderr="line one\n[bold]last\x1b[31m words\n")


def diagnosis(*engines, **arguments):
    defaults = {"device": "cpu", "machine": {**MACHINE, "memory_bytes": 2**34}, "keras": None, "variables": {}}
    return Diagnosis(**{**defaults, "engines": engines, **arguments})


def shown(a_diagnosis, width=80, verbose=False):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    doctor.render(a_diagnosis, console, verbose)
    return console.file.getvalue()
