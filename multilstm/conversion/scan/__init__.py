"""Models for `multilstm.scan`: the spec as JSON, its weights, and a program that loads both."""
