"""Environments merge, and a process inherits no variable that may change an answer."""

import os
import pathlib

import pytest

from multilstm.engines.registry import ENGINES
from multilstm.frameworks.process_environment import for_process, merge, overruled, python_path

CHANGE_ANSWERS = {
    "JAX_DISABLE_JIT": "1",
    "JAX_ENABLE_X64": "0",
    "JAX_NUMPY_RANK_PROMOTION": "raise",
    "JAX_NUMPY_DTYPE_PROMOTION": "strict",
    "JAX_TRANSFER_GUARD": "disallow",
    "JAX_DEFAULT_DEVICE": "gpu",
    "JAX_DEFAULT_MATMUL_PRECISION": "bfloat16",
    "KERAS_BACKEND": "numpy",
    "KERAS_NNX_ENABLED": "1",
    "TF2_BEHAVIOR": "0",
    "TF_ENABLE_AUTO_MIXED_PRECISION": "1",
    "TF_XLA_FLAGS": "--tf_xla_auto_jit=2",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1",
    "NVIDIA_TF32_OVERRIDE": "1",
    "ONEDNN_DEFAULT_FPMATH_MODE": "BF16",
}
HARMLESS = {
    "HOME": "/home/somebody",
    "JAX_COMPILATION_CACHE_DIR": "/cache",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "OMP_NUM_THREADS": "2",
    "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
    "TF_CPP_MIN_LOG_LEVEL": "0",
    "XLA_FLAGS": "--xla_dump_to=/dump",
}


def test_the_last_value_counts_and_flags_of_xla_add_up():
    first, second = {"XLA_FLAGS": "--a=1", "HERE": "1"}, {"XLA_FLAGS": "--a=2 --b=2", "HERE": "2"}
    assert merge(first, second) == {"XLA_FLAGS": "--a=1 --b=2", "HERE": "2"}
    assert first["HERE"] == "1"


def test_a_flag_whose_name_begins_another_is_kept():
    assert merge({"XLA_FLAGS": "--a_longer=1"}, {"XLA_FLAGS": "--a=2"}) == {"XLA_FLAGS": "--a_longer=1 --a=2"}


def test_flags_stay_where_a_later_environment_sets_none():
    assert merge({"XLA_FLAGS": "--a=1"}, {"XLA_FLAGS": ""}, {}) == {"XLA_FLAGS": "--a=1"}


def test_no_flags_are_no_variable():
    assert merge({"HERE": "1"}, {}) == {"HERE": "1"}


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_variables_that_change_answers_are_not_inherited(device):
    environment = for_process(device, {}, {**CHANGE_ANSWERS, **HARMLESS})
    assert environment.keys() & CHANGE_ANSWERS.keys() == set()
    assert environment.items() >= HARMLESS.items()


def test_a_setting_of_the_engine_replaces_the_users():
    settings = ENGINES["keras-jax"].settings
    environment = for_process("cpu", settings, CHANGE_ANSWERS)
    assert (environment["KERAS_BACKEND"], environment["JAX_ENABLE_X64"]) == ("jax", "1")


def test_the_users_variables_that_are_overruled_can_be_shown():
    inherited = {**CHANGE_ANSWERS, **HARMLESS, "JAX_PLATFORMS": "cuda", "XLA_FLAGS": "--a=1"}
    settings = {"XLA_FLAGS": "--a=2 --b=1", "JAX_ENABLE_X64": "1"}
    assert overruled("cpu", settings, inherited) == {**CHANGE_ANSWERS, "JAX_PLATFORMS": "cuda"}
    assert overruled("cpu", settings, {**HARMLESS, "JAX_ENABLE_X64": "1"}) == {}


@pytest.mark.parametrize(
    ("inherited", "entries"),
    [("", []), (os.pathsep, []), (f"{os.pathsep}a{os.pathsep * 2}b{os.pathsep}", ["a", "b"])],
    ids=["empty", "two_empty", "empty_among_others"],
)
def test_no_empty_entry_reaches_the_python_path(inherited, entries):
    root = pathlib.Path("/root")
    assert python_path(root, inherited).split(os.pathsep) == [str(root), *entries]
