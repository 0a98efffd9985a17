"""The needs of each framework, before any LSTM."""
