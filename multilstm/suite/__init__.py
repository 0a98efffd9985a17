"""Cases on engines, judged."""
