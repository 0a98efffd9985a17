"""ONNX graphs as specs with weights, or as weights for another architecture."""
