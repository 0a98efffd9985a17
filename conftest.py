"""Settings of all tests: JAX compiles quickly, processes run in long slices, and markers form three tiers.

Compilation by XLA took most of the time of the tests, and most of it optimized loops over a few units. Tests that need
the optimizations of users ask for `as_users_compile`; `multilstm parity --full` always has them.

    pytest -m unit        no framework, some minutes
    pytest -m quick       unit, and the quick part of the parity suite
    pytest                everything
"""

import contextlib
import importlib.metadata
import os
import pathlib
import signal

import pytest

from multilstm.frameworks import xla_flags
from multilstm.frameworks.process_environment import merge
from multilstm.frameworks.xla_flags import NO_FUSION_EMITTERS, ONE_CODEGEN_PART

# An installation registers the plugin `multilstm`; a checkout on PYTHONPATH does not.
IS_REGISTERED = bool(importlib.metadata.entry_points(group="pytest11", name="multilstm"))
pytest_plugins = ["pytester", *([] if IS_REGISTERED else ["multilstm.testing.plugin"])]

_OPTIMIZATIONS = "JAX_DISABLE_MOST_OPTIMIZATIONS"
_ONE_PART = xla_flags.variables(ONE_CODEGEN_PART)
USUAL = {_OPTIMIZATIONS: os.environ.get(_OPTIMIZATIONS), "XLA_FLAGS": merge(os.environ, _ONE_PART).get("XLA_FLAGS")}
QUICKLY = {_OPTIMIZATIONS: "1", **xla_flags.variables(ONE_CODEGEN_PART, NO_FUSION_EMITTERS)}
os.environ.update(merge(os.environ, QUICKLY))
os.environ.setdefault("JAX_PLATFORMS", "cpu")  # in this process; the environment of a worker names its device

if hasattr(os, "SCHED_BATCH"):  # with more processes than cores, short slices find cold caches
    with contextlib.suppress(OSError):  # only the time of the tests depends on it
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a background job of a shell
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def one_part():
    """The variables with which JAX compiles the same programs as for users, in less time."""
    return _ONE_PART


@pytest.fixture(scope="session")
def quickly():
    """The variables with which JAX compiles quickly, as in all tests that ask for nothing else."""
    return QUICKLY


@pytest.fixture(scope="session")
def as_users_compile():
    """A context whose new processes compile in JAX as outside of the tests, in one part."""

    @contextlib.contextmanager
    def context():
        with pytest.MonkeyPatch.context() as patch:
            for name, value in USUAL.items():
                patch.delenv(name, raising=False) if value is None else patch.setenv(name, value)
            yield

    return context


# Tests that import no framework and start no process of one: folders and files under tests/.
UNIT = (
    "bench/test_answer.py",
    "bench/test_energy.py",
    "bench/test_page.py",
    "bench/test_results.py",
    "bench/test_rounds.py",
    "bench/test_shapes.py",
    "cases",
    "compare",
    "engines/reference",
    "docs/test_checks.py",
    "docs/test_links.py",
    "execution/test_quantities.py",
    "files",
    "fuzz/test_hostile_campaign.py",
    "jobs/test_validation.py",
    "json_data",
    "ledger",
    "migration/test_drift.py",
    "report",
    "spec",
    "suite/test_keras_file.py",
    "test_api_hostile.py",
    "test_architecture.py",
    "test_shape.py",
    "test_deprecation.py",
    "test_errors.py",
    "test_faults.py",
    "test_public_api.py",
    "test_recorded.py",
    "test_saved_hostile.py",
    "weights",
    "workers/test_protocol.py",
)
OTHERS = (
    "cases/catalogue/test_discrimination.py",  # half a minute, without a framework
    "report/test_page_in_browser.py",  # starts a browser
    "files/test_onnx_saved.py",  # compares with PyTorch and ONNX Runtime
    "spec/test_penalties.py",  # compares with Keras
)
PROCESSES = {"ask_keras", "kept_workers", "living_pool", "pool"}  # fixtures that start a framework
TESTS = pathlib.Path(__file__).parent / "tests"

# Files of more than 25 s, the longest first: with `-n 2 --dist loadfile` a long file at the end occupies one core
# alone. The first file of tests/keras_layers computes for all of them; the others follow once it has ended.
LONGEST_FIRST = (
    "parity/test_keras_jax.py",
    "parity/test_keras_tensorflow_training.py",
    "tests/keras_layers/test_activations.py",
    "parity/test_jax_scan.py",
    "parity/test_keras_tensorflow.py",
    "parity/test_keras_torch.py",
    "parity/test_ledger.py",
    "tests/jobs/test_dropout_masks.py",
    "tests/bench/test_measure.py",
    "tests/engines/test_keras2.py",
    "parity/test_plain.py",
    "tests/fuzz/test_engines.py",
    "tests/docs/test_examples.py",
    "tests/engines/test_bad_input.py",
    "tests/test_api.py",
    "tests/suite/test_written_targets.py",
    "tests/scan/test_parallel.py",
    "tests/scan/test_jax_modes.py",
    "tests/fuzz/test_script.py",
    "tests/doctor/test_doctor.py",
    "tests/engines/test_determinism.py",
    "tests/engines/test_penalties.py",
    "tests/frameworks/test_kernels.py",
    "tests/cli/test_cli.py",
    "tests/engines/test_gpu.py",
    "tests/fuzz/test_strategies.py",
    "tests/engines/test_jax_scan.py",
    "tests/scan/test_gradient.py",
    "tests/scan/test_ragged.py",
    "tests/engines/test_mixed_precision.py",
)


def pytest_configure(config):
    """Let pytest-xdist take the files in the order of the items, instead of by their number of tests."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_ignore_collect(collection_path, config):
    """With `-m unit`, leave out other files and folders: some import a framework when they are collected."""
    if config.option.markexpr != "unit" or collection_path.name == "conftest.py":
        return None
    has_units = any((TESTS / place).is_relative_to(collection_path) for place in UNIT)
    return None if has_units or is_unit(collection_path) else True


def pytest_collection_modifyitems(items):
    """Sort the items, and mark those of the tiers; parity/catalogue_items.py marks the quick items of the suite."""
    places = {TESTS.parent / path: place for place, path in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))
    for item in items:
        if is_unit(item.path) and not PROCESSES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.unit)
            item.add_marker(pytest.mark.quick)


def is_unit(path):
    """Whether a file belongs to the tier `unit`."""
    if not path.is_relative_to(TESTS):
        return False
    places = {path.relative_to(TESTS).as_posix(), *(parent.as_posix() for parent in path.relative_to(TESTS).parents)}
    return bool(places & set(UNIT)) and not places & set(OTHERS)
