"""The language of a surname, letter by letter: trained in pure JAX, compared on every engine.

The surnames are those of the package Faker.
"""

import importlib

import jax
import matplotlib.pyplot as plt
import numpy as np

from multilstm import LSTM, Bidirectional, Dense, Embedding, Sequential, parity, run
from multilstm.scan.model import model
from multilstm.spec.optimizers import Adam
from multilstm.weights.initializers import initial_weights

LANGUAGES, LETTERS = {"de": "German", "es": "Spanish", "fi": "Finnish", "fr": "French", "it": "Italian"}, 12
PLACES = [f"{code}_{code.upper()}" for code in LANGUAGES]
PROVIDERS = [importlib.import_module(f"faker.providers.person.{place}").Provider for place in PLACES]
pairs = sorted({(name.lower(), row) for row, p in enumerate(PROVIDERS) for name in p.last_names if name.isalpha()})
np.random.default_rng(0).shuffle(pairs)
names, languages = [name for name, _ in pairs], np.array([int(row) for _, row in pairs])
alphabet = {letter: 1 + row for row, letter in enumerate(sorted(set("".join(names))))}
tokens = np.array([[alphabet[a] for a in name[-LETTERS:]] + [0] * (LETTERS - len(name)) for name in names], "int32")
test = 300  # names, the first ones; the others are learned

layers = [Embedding(len(alphabet) + 1, 12, mask_zero=True), Bidirectional(LSTM(24)), Dense(5, activation="softmax")]
spec, adam = Sequential(layers, input_shape=(None,), input_dtype="int32"), Adam(0.005)
step = jax.jit(model(spec).train_step, static_argnames=("optimizer", "loss"))
weights = initial_weights(spec, seed=0)
slots = {f"{name}/{slot}": np.zeros_like(array) for name, array in weights.items() for slot in adam.slots}
for number in range(400):
    rows = np.random.default_rng(number).integers(test, len(names), 100)
    inputs, targets = {"input_layer": tokens[rows]}, [np.eye(5, dtype="float32")[languages[rows]]]
    weights, slots, *_ = step(
        weights, slots, adam.coefficients(number), inputs, targets, optimizer=adam, loss="categorical_crossentropy"
    )

report = parity(spec, inputs=tokens[:test], weights=weights)
report.check()  # raises if an engine gives other answers
print(report.sentence)
found = run(spec, "reference", tokens[:test], weights=weights).output.argmax(-1)
print(f"{(found == languages[:test]).mean():.0%} of {test} surnames")
for name, row in zip(names[:8], found[:8], strict=True):
    print(f"{name:12} {list(LANGUAGES.values())[row]}")

counts = np.zeros((5, 5), int)
np.add.at(counts, (languages[:test], found), 1)
plt.grid(False)
plt.imshow(counts, cmap="Blues")
for row, column in np.ndindex(counts.shape):
    plt.text(column, row, counts[row, column], ha="center", color="white" if counts[row, column] > 40 else "black")
plt.xticks(range(5), LANGUAGES.values())
plt.yticks(range(5), LANGUAGES.values())
plt.gca().set(xlabel="recognized", ylabel="language of the surname")
plt.savefig("names.svg")
