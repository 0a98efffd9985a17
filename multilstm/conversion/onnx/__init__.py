"""Models as ONNX files, with real nodes LSTM, GRU and RNN."""
