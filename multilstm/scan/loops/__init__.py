"""The loops of the LSTM, forward and backward."""
