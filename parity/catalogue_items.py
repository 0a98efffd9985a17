"""The parity suite of one engine: every quantity of every case, in every dtype, against the float64 reference.

Each module `test_ENGINE.py` has the items of its engine; those of keras-tensorflow are in two modules, of equal time,
which two processes of pytest-xdist compute. An id is complete:
`test_part[keras-torch-cpu-seed5-float64-forward]`. Names, shapes, dtypes and counts are exact. Forward quantities
computed in float64 have the same float32 bits as the reference. Everything else is inside the row of
multilstm/compare/tolerances.py. `multilstm.cases.catalogue` states which cases have gradients and training here.

`-m quick` selects the forward pass in float32 of every pair of options, of upstream issues and of peer vectors.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator

import pytest

from multilstm.cases.case import Case
from multilstm.cases.catalogue import SEEDS, catalogue
from multilstm.cases.catalogue.seeds import PROGRAMS
from multilstm.compare.quantity import FORWARD
from multilstm.execution.options import Options
from multilstm.execution.part import Part, due_parts
from multilstm.jobs.dtypes import MIXED
from multilstm.ledger.facts import certain_facts
from multilstm.spec import ConvLSTM2D, SimpleRNN, TimeDistributed
from multilstm.spec.layers import Recurrent
from multilstm.testing.settings import settings_of

Key = tuple[str, str, str, str]  # engine, case, dtype, part
PARTS = tuple(map(str, Part))
TRAINING = tuple(part for part in PARTS if part != "forward")
LACKING = {"jax-scan": (ConvLSTM2D,), "torch-lstm": (ConvLSTM2D,)}  # layers
IN_FLOAT64_ALONE = ("size", "model", "option", "layer", "recurrent")  # families; float64 is judged to the float32 bit


def items_of(engine: str, parts: Collection[str] = PARTS) -> Callable[[pytest.Metafunc], None]:
    """Return the `pytest_generate_tests` of a module of an engine, for some parts of each case."""

    def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
        if "cell" not in metafunc.fixturenames:
            return
        device = settings_of(metafunc.config).device
        executed = [cell for cell in cells_of(engine, device) if cell[-1] in parts and not refused(*cell)]
        metafunc.parametrize("cell", [_item(cell, device) for cell in executed])

    return pytest_generate_tests


def cells_of(engine: str, device: str) -> Iterator[Key]:
    """Yield an engine's keys in the per-commit run, the refused ones included."""
    options = Options((engine,), device=device)
    for case in catalogue().values():
        for dtype in dtypes(case, device):
            for part in map(str, due_parts(case, dtype, options, engine)):
                if part == "forward" or trained(case, dtype, device):
                    yield engine, case.name, dtype, part


def dtypes(case: Case, device: str) -> tuple[str, ...]:
    """Return the dtypes in which a case is computed.

    Half precision is computed for one variant of each seed program. On a GPU it is computed for all variants and for
    the conditions on cuDNN, and tf32 with it. The sweep has every pair of options and data in float32, and any three
    options with all data in float64.
    """
    if device == "gpu":
        return ("float32", "float64", *((*MIXED, "tf32") if case.family in (*SEEDS, "gpu") else ()))
    if case.family in IN_FLOAT64_ALONE or (case.family == "sweep" and not case.training):
        return ("float64",)
    return ("float32", "float64", *(MIXED if case.name in PROGRAMS else ()))


def trained(case: Case, dtype: str, device: str) -> bool:
    """Whether gradients and training are compared.

    On a CPU they are not for `gpu-*`, and in float32 only for one variant of each seed program.
    """
    if device == "gpu":
        return True
    if case.family == "gpu":
        return False
    return dtype == "float64" or case.family not in SEEDS or case.name in PROGRAMS


def refused(engine: str, name: str, dtype: str, part: str) -> bool:
    """Whether an engine cannot express the case, by its spec and batches alone."""
    layers = catalogue()[name].spec.layers
    if any(isinstance(layer.wrapped or layer, LACKING.get(engine, ())) for layer in layers):
        return True
    if engine != "torch-lstm":
        return False
    if dtype in MIXED or _outside_of_torch(name):
        return True
    return part == "gradient" and any(
        layer.recurrent_dropout or layer.dropout for layer in catalogue()[name].spec.recurrent.values()
    )


@functools.cache
def _outside_of_torch(name: str) -> bool:
    """Whether a recurrent layer has a mask, a TimeDistributed, or arguments that PyTorch's class lacks."""
    case = catalogue()[name]
    inside = [layer for layer in case.spec.layers if isinstance(layer, TimeDistributed)]
    if any(layer.layer.recurrent or layer.inner_model for layer in inside):
        return True
    masked = any("masked" in facts for facts in certain_facts(case, "float64").values())
    return masked or not all(map(_is_of_torch, case.spec.recurrent.values()))


def _is_of_torch(layer: Recurrent) -> bool:
    """Whether PyTorch's class has the arguments of a recurrent layer."""
    if isinstance(layer, SimpleRNN):
        return layer.activation in ("tanh", "relu")
    activations = layer.activation, layer.recurrent_activation
    return activations == ("tanh", "sigmoid") and getattr(layer, "reset_after", True)


def _item(cell: Key, device: str) -> object:
    engine, name, dtype, part = cell
    label = "-".join((engine, device, name, dtype, part))
    return pytest.param(cell, id=label, marks=[pytest.mark.quick] if quick(*cell[1:]) else [])


def quick(name: str, dtype: str, part: str) -> bool:
    """Whether an item belongs to the quick part."""
    case = catalogue()[name]
    chosen = case.family in ("issue", "peer") or (case.family == "sweep" and bool(case.training))
    return chosen and dtype == "float32" and part == "forward"


def kinds(case: Case, part: str) -> set[str]:
    """Return the kinds of quantities that a part of a case must give, from its spec alone: a missing one fails."""
    states = next(case.forward.batches()).states
    fields = {field for layer in case.spec.recurrent.values() for field in layer.state_names}
    if part == "gradient":
        sources = zip(("input_gradient", "state_gradient"), case.spec.sources(states), strict=True)
        return {"gradient"} | {kind for kind, names in sources if names}
    if part == "forward":
        shown = [layer.return_sequences for name, layer in case.spec.recurrent.items() if "/" not in name]
        last = {kind for kind, sequences in (("sequence", True), ("last_output", False)) if sequences in shown}
        return {"parameter_count", "weight_shape", "output"} | last | fields
    states_after = {f"trained_{field}" for field in fields} if states else set()
    accuracy = {"accuracy"} if case.loss == "categorical_crossentropy" and part == "program" else set()
    slots = {"slots"} if case.optimizer is not None and case.optimizer.slots else set()
    return {"loss", "weights"} | states_after | accuracy | slots


def test_part(cell, engines, judged):
    engine, name, dtype, part = cell
    engines.require(engine)
    cells = judged.get(cell, [])
    assert cells, f"{engine} gave nothing"
    wrong = [one for one in cells if one.verdict not in agreeing(dtype, one.kind)]
    assert not wrong, "\n".join(f"{one.verdict}: {one.comparison.message or one.comparison}" for one in wrong)
    assert {one.kind for one in cells} == kinds(catalogue()[name], part)


def agreeing(dtype: str, kind: str) -> set[str]:
    exact = {"equal", "bitwise", "rounded"}
    return exact if dtype == "float64" and kind in FORWARD else exact | {"within"}
