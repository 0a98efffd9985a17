"""Engines `equinox-module` and `haiku-module`: the source of Equinox and Haiku into which a spec is converted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

from multilstm.conversion.equinox.target import EquinoxState, equinox_source
from multilstm.conversion.haiku.target import HaikuState, further_parameters, haiku_source
from multilstm.conversion.modules.state import AbstractState
from multilstm.engines.jax_module import AbstractJaxModuleEngine, AbstractJaxModuleProgram, Module
from multilstm.engines.unrolled_calls import EquinoxCall, HaikuCall
from multilstm.jobs.implementation import Implementation
from multilstm.spec import Graph


@final
class EquinoxProgram(AbstractJaxModuleProgram):
    """A program of `equinox-module`."""

    engine: ClassVar = "equinox-module"

    @property
    def implementation(self) -> Implementation:
        """The class of the cell, and the loop."""
        return Implementation("equinox.nn.LSTMCell, lax.scan" if self._spec.recurrent else "no recurrent layer ran")

    def state(self, spec: Graph) -> AbstractState:
        """See `AbstractJaxModuleProgram.state`."""
        return EquinoxState(spec)

    def source_of(self, spec: Graph) -> str:
        """See `AbstractJaxModuleProgram.source_of`."""
        return equinox_source(spec)

    def module(self, source: str, spec: Graph, dtype: Any) -> Module:
        """See `AbstractJaxModuleProgram.module`."""
        return EquinoxCall(source, EquinoxState(spec).attributes, spec)

    def further(self, spec: Graph) -> Mapping[str, int]:
        """See `AbstractJaxModuleProgram.further`."""
        return dict.fromkeys(spec.layer_inputs, 0)


@final
class HaikuProgram(AbstractJaxModuleProgram):
    """A program of `haiku-module`."""

    engine: ClassVar = "haiku-module"

    @property
    def implementation(self) -> Implementation:
        """The class of the core, and the loop."""
        return Implementation("haiku.LSTM, lax.scan" if self._spec.recurrent else "no recurrent layer ran")

    def state(self, spec: Graph) -> AbstractState:
        """See `AbstractJaxModuleProgram.state`."""
        return HaikuState(spec)

    def source_of(self, spec: Graph) -> str:
        """See `AbstractJaxModuleProgram.source_of`."""
        return haiku_source(spec)

    def module(self, source: str, spec: Graph, dtype: Any) -> Module:
        """See `AbstractJaxModuleProgram.module`."""
        return HaikuCall(source, HaikuState(spec).attributes, spec, dtype)

    def further(self, spec: Graph) -> Mapping[str, int]:
        """See `AbstractJaxModuleProgram.further`."""
        return further_parameters(spec)


@final
class EquinoxModuleEngine(AbstractJaxModuleEngine):
    """Executes modules of Equinox."""

    program = EquinoxProgram


@final
class HaikuModuleEngine(AbstractJaxModuleEngine):
    """Executes modules of Haiku."""

    program = HaikuProgram
