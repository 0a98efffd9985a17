"""Keras on PyTorch: softplus and the gradient of hard_sigmoid are inexact in float64."""

import math
import sys

import keras
import numpy as np

if keras.backend.backend() != "torch":
    print("not PyTorch")
    sys.exit(0)
import torch

z = torch.tensor([0.3, 25.0], dtype=torch.float64, requires_grad=True)
(gradient,) = torch.autograd.grad(keras.activations.hard_sigmoid(z)[0], z)
softplus = keras.activations.softplus(z).detach().numpy()
errors = [abs(float(gradient[0]) - 1 / 6), abs(float(softplus[1]) - np.logaddexp(25.0, 0.0))]
print(f"errors: gradient of hard_sigmoid {errors[0]:.1e}, softplus of 25 {errors[1]:.1e}")
assert not math.isnan(sum(errors))
sys.exit(int(max(errors) > 1e-14))
