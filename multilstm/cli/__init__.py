"""The terminal's face, one file a command."""
