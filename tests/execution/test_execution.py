"""One job on one engine: an engine that refuses arrays has failed, and no other engine is lost."""

import pytest
from faulty_pool import FaultyPool

from multilstm.cases.model_case import model_case
from multilstm.engines.registry import JUDGE
from multilstm.errors import InputError, ParityError, SpecError, UsageError
from multilstm.execution.options import Options
from multilstm.spec import LSTM, Dense, Sequential
from multilstm.suite.compare_cases import compare_cases

SPEC = Sequential([LSTM(3), Dense(2)], (None, 2))


class Refusing(FaultyPool):
    """A pool in which one engine raises an error for each job."""

    def __init__(self, engine, error):
        super().__init__()
        self.engine, self.error = engine, error

    def execute(self, engine, job):
        if engine == self.engine:
            raise self.error
        return super().execute(engine, job)


def compared(engine, error):
    options = Options(("jax-scan", "torch-lstm"), ("float64",))
    return compare_cases((model_case(SPEC),), options, pool=Refusing(engine, error))


@pytest.mark.parametrize("kind", [InputError, UsageError, SpecError, ParityError], ids=lambda kind: kind.__name__)
def test_a_refusal_of_an_engine_is_an_error_of_that_engine(kind):
    report = compared("jax-scan", kind("input 'x': given 3, expected 2"))
    assert {cell.engine for cell in report.failures} == {"jax-scan"}
    assert {cell.verdict for cell in report.failures} == {"error"}
    message = report.failures[0].comparison.message
    assert message == f"engine 'jax-scan': {kind.__name__}: input 'x': given 3, expected 2"
    assert report.exit_code() == 1


def test_a_refusal_of_the_reference_is_bad_input():
    with pytest.raises(InputError, match="given 3"):
        compared(JUDGE, InputError("input 'x': given 3, expected 2"))
