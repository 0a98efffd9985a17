"""Optimizers with all their options: 16 cases that hold every two choices of five factors exactly once.

The factors have four choices each: the rule, the clipping, the schedule, other actions on the weights, and arguments of
the rule. Case (a, b) has the choices a, b, a + b, a + 2b and a + 3b, computed in the field of four elements. This is an
orthogonal array of strength 2 (Bush 1952, https://doi.org/10.1214/aoms/1177729387).

All cases train the same small model. Its Embedding meets every token several times in a batch, where sparse gradients
of TensorFlow count a token once.
"""

from __future__ import annotations

from typing import Any

from multilstm.cases.case import Case, Fit
from multilstm.cases.random_batches import shortened
from multilstm.cases.recipes import Tokens
from multilstm.spec import LSTM, Dense, Embedding, Graph, MaxNorm, Sequential, UnitNorm
from multilstm.spec.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
from multilstm.spec.schedules import (
    CosineDecay,
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstantDecay,
    PolynomialDecay,
    Schedule,
)

VOCABULARY = 5
CLIPS: tuple[dict[str, float], ...] = ({}, {"clipnorm": 0.05}, {"clipvalue": 0.01}, {"global_clipnorm": 0.1})
SCHEDULES = ("constant", "decay", "cosine", "piecewise")
ACTING = ("alone", "decaying", "constrained", "decaying-constrained")
DECAY = 0.05
# By rule: its class, a learning rate that trains, and its arguments.
RULES: dict[str, tuple[type[Optimizer], float, tuple[dict[str, Any], ...]]] = {
    "sgd": (SGD, 0.2, ({}, {"momentum": 0.9}, {"momentum": 0.7, "nesterov": True}, {"momentum": 0.4})),
    "rmsprop": (
        RMSprop,
        0.01,
        ({}, {"momentum": 0.5}, {"rho": 0.7, "centered": True}, {"momentum": 0.3, "epsilon": 1e-4, "centered": True}),
    ),
    "adam": (Adam, 0.02, ({}, {"beta_1": 0.7}, {"beta_2": 0.9}, {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-4})),
    "adamw": (AdamW, 0.02, ({}, {"beta_1": 0.5}, {"beta_2": 0.8}, {"beta_1": 0.6, "beta_2": 0.97, "epsilon": 1e-3})),
}


def optimizers(full: bool = False) -> tuple[Case, ...]:
    """Return the 16 cases; unless `full`, with gradients and training in float64 alone."""
    cases = (_case(a, b) for a in range(4) for b in range(4))
    return tuple(case if full else shortened(case, trained=True) for case in cases)


def _case(a: int, b: int) -> Case:
    rule, clip = tuple(RULES)[a], CLIPS[b]
    schedule, acting, number = a ^ b, ACTING[a ^ _times(2, b)], a ^ _times(3, b)
    made, rate, variants = RULES[rule]
    arguments: dict[str, Any] = {**variants[number], **clip}
    if "decaying" in acting:
        arguments["weight_decay"] = DECAY
    optimizer = made(_schedule(SCHEDULES[schedule], rate, number), **arguments)
    data = Tokens(9, 6, VOCABULARY, 3, as_feature=False, seed=600 + 4 * a + b)
    named = (rule, *variants[number], *clip, SCHEDULES[schedule], acting)
    return Case(
        "-".join(("optimizer", *named)).replace("_", "-"),
        f"{rule}, {', '.join(variants[number]) or 'no options'}; {', '.join(clip) or 'not clipped'}; "
        f"learning rate {SCHEDULES[schedule]}; weights {acting}",
        _model(constrained="constrained" in acting),
        forward=data,
        loss="categorical_crossentropy",
        optimizer=optimizer,
        training=(Fit(data, epochs=3),),
        updates_on=data,
        seed=9,
    )


def _times(factor: int, b: int) -> int:
    """Return the product in the field of four elements, whose sum is the exclusive or of the bits."""
    powers = (1, 2, 3)
    return powers[(powers.index(factor) + powers.index(b)) % 3] if b else 0


def _schedule(name: str, rate: float, number: int) -> float | Schedule:
    """Return a schedule that ends well before the hundredth update; `number` chooses among its options."""
    if name == "decay":
        return (
            ExponentialDecay(rate, 20, 0.7),
            ExponentialDecay(rate, 20, 0.7, staircase=True),
            InverseTimeDecay(rate, 30, 0.9),
            PolynomialDecay(rate, 40, rate / 8, power=1.5, cycle=True),
        )[number]
    if name == "cosine":
        warm: dict[str, Any] = {"warmup_target": rate, "warmup_steps": 15} if number % 2 else {}
        return CosineDecay(rate / 10 if warm else rate, 60, alpha=0.1 * (number // 2), **warm)
    if name == "piecewise":
        return PiecewiseConstantDecay((1, 40), (rate, rate / 2, rate / 5))
    return rate


def _model(constrained: bool) -> Graph:
    limited: dict[str, Any] = {"kernel_constraint": MaxNorm(0.8), "recurrent_constraint": UnitNorm()}
    return Sequential(
        [
            Embedding(VOCABULARY, 3, mask_zero=True),
            LSTM(4, **(limited if constrained else {})),
            Dense(VOCABULARY, activation="softmax"),
        ],
        input_shape=(6,),
        input_dtype="int32",
    )
