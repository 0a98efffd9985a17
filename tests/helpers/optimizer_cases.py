"""Optimizers with all their arguments, by name, for the tests of the update rules and of their data."""

from multilstm.spec.optimizers import SGD, Adam, AdamW, RMSprop
from multilstm.spec.schedules import CosineDecay, ExponentialDecay, PiecewiseConstantDecay

CASES = {
    "sgd": SGD(),
    "sgd-rate": SGD(0.3),
    "sgd-momentum": SGD(0.1, 0.9),
    "sgd-nesterov": SGD(0.1, 0.9, True),
    "sgd-nesterov-without-momentum": SGD(0.1, nesterov=True),
    "rmsprop": RMSprop(),
    "rmsprop-momentum": RMSprop(0.01, 0.8, 0.5),
    "rmsprop-centered": RMSprop(0.01, centered=True),
    "rmsprop-all": RMSprop(0.01, 0.7, 0.5, 1e-3, True),
    "adam": Adam(),
    "adam-all": Adam(0.01, 0.7, 0.8, 1e-3),
    "adam-no-memory": Adam(0.01, 0.0, 0.0),
    "adamw": AdamW(0.01),
    "adamw-decay": AdamW(0.01, 0.7, 0.8, 1e-3, weight_decay=0.3),
    "sgd-decay": SGD(0.1, 0.9, weight_decay=0.2),
    "sgd-clipvalue": SGD(0.1, 0.9, True, clipvalue=0.3),
    "rmsprop-decay-clipvalue": RMSprop(0.01, weight_decay=0.2, clipvalue=0.1),
    "rmsprop-exponential": RMSprop(ExponentialDecay(0.01, 7, 0.6), 0.8, 0.5, weight_decay=0.2),
    "adam-cosine": Adam(CosineDecay(0.001, 9, 0.1, 0.02, 5), weight_decay=0.2),
    "adam-piecewise-clipvalue": Adam(PiecewiseConstantDecay([3, 4], [0.1, 0.01, 0.05]), clipvalue=0.5),
}
# Optimizers that mix the elements of a gradient; those of CASES treat each element alone.
TOGETHER = {
    "sgd-clipnorm": SGD(0.1, 0.9, clipnorm=0.5),
    "rmsprop-clipnorm": RMSprop(0.01, clipnorm=0.5, weight_decay=0.1),
    "adam-global-clipnorm": Adam(0.01, global_clipnorm=0.5),
    "adamw-global-clipnorm-cosine": AdamW(CosineDecay(0.02, 15, 0.1), global_clipnorm=3.0),
}
ALL = {**CASES, **TOGETHER}
