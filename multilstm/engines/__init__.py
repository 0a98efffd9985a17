"""Engines: the ways to execute a spec. Importing this package imports no framework."""
