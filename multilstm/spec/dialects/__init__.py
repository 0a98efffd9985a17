"""The dialects of Keras 0.3 to 2: configs of models, translated into Keras 3's form.

JSON enters and JSON leaves; nothing of it is executed. `tables.py` holds the renamed arguments as data, and
`versions.py` the defaults of each version.
"""

from multilstm.spec.dialects.translate import Translated, keras3_config

__all__ = ["Translated", "keras3_config"]
