"""Why a forward quantity diverges: the cause, and the first layer, timestep, row and gate at which the engine parts.

An engine is asked nothing but ordinary forward jobs, so that its fused kernels are traced as they are:

    layer     the same model, with the outputs of all of its layers as outputs
    timestep  that layer alone, on what the reference gives it, its sequence cut ever shorter
    gate      one timestep of it from given states, with weights that leave one gate at a time alive
"""

from multilstm.explain.explain import cause, explain, explain_error
from multilstm.explain.finding import CAUSES, Finding
from multilstm.explain.gradient_block import first_block

__all__ = ["CAUSES", "Finding", "cause", "explain", "explain_error", "first_block"]
