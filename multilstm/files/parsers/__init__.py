"""Parsers of binary files: bytes in, plain data out. They run only in the process of `multilstm.files.sandbox`."""
