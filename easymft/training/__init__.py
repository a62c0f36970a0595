"""Optimizer, schedule, trainer, callbacks."""
