"""Engines that need no framework: the reference, with one fault each."""

import dataclasses
import time

from multilstm.engines.reference import lstm as reference_lstm
from multilstm.engines.reference.engine import ReferenceEngine

true_forward = reference_lstm.forward


def wrong_forward(layer, inputs, mask, *arguments):
    return true_forward(layer, inputs, None if layer.unroll else mask, *arguments)


class MaskIgnored:
    def __new__(cls):
        reference_lstm.forward = wrong_forward
        return ReferenceEngine()


class InputGradientDoubled(ReferenceEngine):
    """The gradients of inputs are wrong by the factor two, and nothing else is."""

    def prepare(self, job):
        program = super().prepare(job)
        true_step = program.step

        def step(*arguments):
            answer = true_step(*arguments)
            doubled = {name: 2 * gradient for name, gradient in answer.input_gradients.items()}
            return dataclasses.replace(answer, input_gradients=doubled)

        program.step = step
        return program


class Hanging(ReferenceEngine):
    """Each job runs without an end."""

    def prepare(self, job):
        time.sleep(3600)
