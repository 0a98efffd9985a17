"""Engines `flax-module` and `linen-module`: the Flax source into which `multilstm.conversion` translates a spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

from multilstm.conversion.flax.api import LINEN, NNX, Api
from multilstm.conversion.flax.source import flax_source, module_names
from multilstm.conversion.flax.state import FlaxState, further_parameters
from multilstm.engines.converted import class_of
from multilstm.engines.flax_calls import LinenCall, NnxCall
from multilstm.engines.jax_module import AbstractJaxModuleEngine, AbstractJaxModuleProgram, Module
from multilstm.jobs.implementation import Implementation
from multilstm.spec import Graph


class _Program(AbstractJaxModuleProgram):
    """One converted model."""

    api: ClassVar[Api]
    call: ClassVar[type[NnxCall | LinenCall]]

    @property
    def implementation(self) -> Implementation:
        """The class of the loop."""
        is_recurrent = bool(self._spec.recurrent)
        return Implementation(f"flax.{self.api.name}.RNN, lax.scan" if is_recurrent else "no recurrent layer ran")

    def state(self, spec: Graph) -> FlaxState:
        """See `AbstractJaxModuleProgram.state`."""
        return FlaxState(spec, self.api)

    def source_of(self, spec: Graph) -> str:
        """See `AbstractJaxModuleProgram.source_of`."""
        return flax_source(spec, self.api)

    def module(self, source: str, spec: Graph, dtype: Any) -> Module:
        """See `AbstractJaxModuleProgram.module`."""
        return self.call(class_of(source), module_names(spec), spec, dtype)

    def further(self, spec: Graph) -> Mapping[str, int]:
        """See `AbstractJaxModuleProgram.further`."""
        return further_parameters(spec, self.api)


@final
class NnxProgram(_Program):
    """A program of `flax-module`."""

    engine, api, call = "flax-module", NNX, NnxCall


@final
class LinenProgram(_Program):
    """A program of `linen-module`."""

    engine, api, call = "linen-module", LINEN, LinenCall


@final
class FlaxModuleEngine(AbstractJaxModuleEngine):
    """Executes modules of nnx."""

    program = NnxProgram


@final
class LinenModuleEngine(AbstractJaxModuleEngine):
    """Executes modules of linen."""

    program = LinenProgram
