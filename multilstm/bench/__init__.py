"""How fast is each LSTM, among those whose answers agree."""
