"""Metrics, tables, plots, reports."""
