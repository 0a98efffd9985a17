"""multilstm: does my LSTM give the same answers on every framework, and which one is fastest?"""

__version__ = "0.1.0"
