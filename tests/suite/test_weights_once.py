"""The weights of a case are drawn once, for all engines, dtypes and parts, before any job."""

from multilstm.cases import case as case_module
from multilstm.cases.model_case import model_case
from multilstm.execution.options import Options
from multilstm.spec import LSTM, Sequential
from multilstm.suite.compare_cases import compare_cases
from multilstm.weights.initializers import discriminating_weights


def test_weights_are_drawn_once(monkeypatch):
    drawn = []

    def draw(spec, seed):
        drawn.append(spec.name)
        return discriminating_weights(spec, seed)

    monkeypatch.setattr(case_module, "discriminating_weights", draw)
    case = model_case(Sequential([LSTM(2)], input_shape=(3, 1)))
    report = compare_cases((case,), Options(("reference",)))
    assert report.cells
    assert drawn == [case.spec.name]
