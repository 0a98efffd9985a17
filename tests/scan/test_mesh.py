"""`lstm(..., mesh=)` gives the same results over several devices as on one device.

JAX counts its devices once, so `mesh_program.py` computes everything in a process of its own.
"""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from multilstm.engines.registry import ENGINES
from multilstm.frameworks.process_environment import for_process

ROOT = pathlib.Path(__file__).parents[2]
PROGRAM = pathlib.Path(__file__).with_name("mesh_program.py")
TOLERANCE = 1e-12
CASES = [
    "nothing_else", "mask", "lengths", "one_length", "dropout", "dropout_lengths", "checkpoint_mask",
    "plain_gradient_mask", "bidirectional_mask",
]  # fmt: skip


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mesh")
    environment = {
        **for_process("cpu", ENGINES["jax-scan"].environment, os.environ),
        "JAX_NUM_CPU_DEVICES": "4",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(folder)], env=environment, capture_output=True, text=True, timeout=600,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "mesh.json").read_text())


@pytest.mark.parametrize("quantity", ["sequence", "state", "gradient_params", "gradient_x", "gradient_state"])
@pytest.mark.parametrize("case", CASES)
def test_same_as_on_one_device(facts, case, quantity):
    assert facts["distances"][case][quantity] <= TOLERANCE


def test_every_case_is_listed(facts):
    assert list(facts["distances"]) == CASES


def test_every_device_has_its_rows(facts):
    assert facts["devices"] == 4
    assert facts["rows"] == [[2, 7, 6]] * 4


def test_auto_splits_a_batch_that_the_devices_do_not_divide(facts):
    assert facts["devices_of_auto"] == 4
    assert max(facts["auto"].values()) <= TOLERANCE
    assert list(facts["auto"]) == ["nothing_else", "mask", "lengths", "dropout_lengths", "plain_gradient_mask"]


def test_auto_trains_a_model_as_one_device_does(facts):
    assert facts["model"] <= TOLERANCE


def test_auto_carries_states_between_batches_of_other_devices(facts):
    assert facts["carried"] <= TOLERANCE


def test_auto_and_explicit_meshes_agree_where_the_devices_are_shared_out(facts):
    assert max(facts["own_meshes"].values()) <= TOLERANCE
    assert len(facts["own_meshes"]) == 6


def test_auto_leaves_few_rows_and_placed_arrays_alone(facts):
    assert facts["devices_of_few"] == 1
    assert facts["devices_of_placed"] == [2]


def test_refused(facts):
    assert facts["refusals"] == {
        "batch": "lstm: the batch of 7 cannot be shared equally by the 4 devices of the mesh",
        "axes": "lstm: mesh has the axes ('batch', 'model'), expected one, over which the batch is split",
    }
