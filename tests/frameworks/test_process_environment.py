"""Environments merge, and a process inherits no variable that may change an answer."""

import os
import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


ABSOLUTE = [str(pathlib.Path(name).absolute()) for name in ("a", "b")]
NOT_ABSOLUTE = ("", ".", "..", "./a", "../a", "a", "a/b", "~", "~/a", " ")


@pytest.mark.parametrize("entry", NOT_ABSOLUTE, ids=lambda entry: repr(entry))
def test_no_empty_or_relative_entry_reaches_the_python_path(entry):
    root = pathlib.Path("/root")
    for inherited in (
        [entry],
        [entry, entry],
        [entry, *ABSOLUTE],
        [ABSOLUTE[0], entry, ABSOLUTE[1]],
        [*ABSOLUTE, entry],
    ):
        kept = [name for name in inherited if name in ABSOLUTE]
        assert python_path(root, os.pathsep.join(inherited)).split(os.pathsep) == [str(root), *kept]


@given(st.lists(st.text(st.characters(exclude_characters=f"\0{os.pathsep}"), max_size=8)))
def test_whatever_is_inherited_only_absolute_entries_are_kept(entries):
    first, *others = python_path(pathlib.Path("/root"), os.pathsep.join(entries)).split(os.pathsep)
    assert first == str(pathlib.Path("/root"))
    assert others == [entry for entry in entries if os.path.isabs(entry)]
