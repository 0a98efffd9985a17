"""Frameworks as far as no LSTM is concerned: versions, devices, kernels, switches and process environments.

Environment variables and programs of a framework enter; facts about them leave. Each framework has a module with the
functions of `platform.Platform`. This room imports `errors` alone.
"""

__all__: list[str] = []
