"""The public API, name by name: a name that comes or goes is a decision, and belongs into CHANGELOG.md.

Everything else is internal: see docs/explanation/architecture.md. The lists are read from the source, so that no
framework is imported.
"""

import ast
import importlib
import pathlib
import re
import subprocess
import sys

import pytest

import multilstm

ROOT = pathlib.Path(__file__).parents[1]

PUBLIC = {
    "multilstm": """
        Activation ActivityRegularization Adam AdamW Add AdditiveAttention AlphaDropout Attention Average
        AveragePooling1D AveragePooling2D BatchNormalization Bidirectional Concatenate Conv1D Conv2D ConvLSTM2D
        Cropping1D Dense DepthwiseConv2D Dot Dropout ELU Embedding Flatten GRU GaussianDropout GaussianNoise
        GetItem GlobalAveragePooling1D GlobalAveragePooling2D GlobalMaxPooling1D GlobalMaxPooling2D Graph
        HiddenState Input L1 L1L2 L2 LSTM LayerNormalization LeakyReLU LoadedModel Masking MaxNorm MaxPooling1D
        MaxPooling2D Maximum MinMaxNorm Minimum Model MultilstmError Multiply NonNeg Normalization
        OrthogonalRegularizer PReLU Permute Provenance RMSprop ReLU RepeatVector Rescaling Reshape RunResult SGD
        Sequential SimpleRNN Softmax SpatialDropout1D SpatialDropout2D State Subtract TimeDistributed UnitNorm
        UnitNormalization UpSampling1D ZeroPadding1D ZeroPadding2D __version__ convert discriminating_weights
        gates inference_models initial_weights load load_weights migrate parity run save_weights schedules
    """,
    "multilstm.spec": """
        Activation ActivityRegularization Add AdditiveAttention AlphaDropout Attention Average AveragePooling1D
        AveragePooling2D BatchNormalization Bidirectional Call Concatenate Constraint Conv1D Conv2D ConvLSTM2D
        Cropping1D Dense DepthwiseConv2D Dot Dropout ELU Embedding Flatten GRU GaussianDropout GaussianNoise
        GetItem GlobalAveragePooling1D GlobalAveragePooling2D GlobalMaxPooling1D GlobalMaxPooling2D Graph Input
        InputLayer L1 L1L2 L2 LSTM Layer LayerNormalization LeakyReLU Masking MaxNorm MaxPooling1D MaxPooling2D
        Maximum MinMaxNorm Minimum Model Multiply NonNeg Normalization OrthogonalRegularizer PReLU Permute ReLU
        Ref Regularizer RepeatVector Rescaling Reshape Sequential SimpleRNN Softmax SpatialDropout1D
        SpatialDropout2D Subtract Tensor TimeDistributed UnitNorm UnitNormalization UpSampling1D ZeroPadding1D
        ZeroPadding2D from_json to_json
    """,
    "multilstm.spec.optimizers": "Adam AdamW LOSSES OPTIMIZERS Optimizer RMSprop RMSpropKeras2 SGD",
    "multilstm.spec.schedules": """
        CosineDecay ExponentialDecay InverseTimeDecay PiecewiseConstantDecay PolynomialDecay Schedule
    """,
    "multilstm.testing": "assert_parity",
    "multilstm.random": """
        Draws LIMIT Words backward bits check_rate check_seed check_step derived_seed dropout_mask fold_in keeps key
        mask_bits stream threefry uniform
    """,
    "multilstm.scan": """
        ACTIVATIONS BucketedModel Dropout Evaluation LSTMParams ScanModel State activate bidirectional draw_dropout
        init loss_value lstm merge model stack step tune_cpu
    """,
    "multilstm.conversion": "DIALECTS Dialect LSTMWeights from_dialect to_dialect",
    "multilstm.keras_layers": """
        Adam AdamW AdditiveAttention Attention AveragePooling1D AveragePooling2D BatchNormalization
        Bidirectional CategoricalCrossentropy ConvLSTM2D Cropping1D Dense Dot Dropout GRU GlobalAveragePooling1D
        L1 L1L2 L2 LSTM LayerNormalization LeakyReLU MeanOverAllTimesteps Normalization OrthogonalRegularizer
        Permute RMSprop RMSpropKeras2 ReLU Rescaling Reshape SGD SimpleRNN SpatialDropout1D SpatialDropout2D
        TimeDistributed activations enable_float64 initializers
    """,
}


def exported(source):
    """Return the names in `__all__` of a module."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]:
            return set(ast.literal_eval(node.value))
    raise AssertionError("the module has no __all__")


def source_of(module):
    path = ROOT / module.replace(".", "/")
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("module", PUBLIC)
def test_a_module_exports_the_names_of_this_list(module):
    assert exported(source_of(module)) == set(PUBLIC[module].split())


@pytest.mark.parametrize("module", PUBLIC)
def test_an_exported_name_is_defined_or_imported_in_its_module(module):
    names = {"__version__"}
    for node in ast.walk(ast.parse(source_of(module))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {ast.unparse(target) for target in targets}
    assert set(PUBLIC[module].split()) - names == set()


@pytest.mark.parametrize("name", sorted({*PUBLIC["multilstm"].split(), "spec", "errors"}))
def test_a_name_of_the_package_is_imported_at_its_first_use(name):
    # The imports that a type checker reads and those that happen are two lists in multilstm/__init__.py.
    homes = {
        alias.name: node.module
        for node in ast.walk(ast.parse(source_of("multilstm")))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    value = getattr(multilstm, name)
    assert name in dir(multilstm)
    if name in homes:
        assert value is getattr(importlib.import_module(homes[name]), name)


def test_importing_the_package_imports_nothing_large():
    code = "import multilstm, sys; print({'numpy', 'multilstm.spec', 'multilstm.api', 'dataclasses'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "set()\n"


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'multilstm' has no attribute 'parety'"):
        multilstm.parety  # noqa: B018


def test_the_package_is_typed_for_its_users():
    assert (ROOT / "multilstm" / "py.typed").is_file()


@pytest.mark.parametrize("module", PUBLIC)
def test_the_reference_names_every_public_name(module):
    page = (ROOT / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
    assert [name for name in PUBLIC[module].split() if not re.search(rf"\b{name}\b", page)] == []
