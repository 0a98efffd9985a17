"""Users' files: recognised by content, read as data."""
