"""Models as PyTorch modules: readable source and a state dict."""
