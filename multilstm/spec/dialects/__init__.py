"""The dialects of Keras: configs of models, translated into Keras 3's form without models inside models.

JSON enters and JSON leaves; nothing of it is executed. `tables.py` holds the renamed arguments as data, and
`versions.py` the defaults of each version.
"""

from multilstm.spec.dialects.networks import Part
from multilstm.spec.dialects.translate import Translated, keras3_config

__all__ = ["Part", "Translated", "keras3_config"]
