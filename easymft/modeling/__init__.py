"""Encoders and classifiers."""
