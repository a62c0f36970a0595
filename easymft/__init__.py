"""EasyMFT: meta fine-tuning of BERT over several text domains."""

__version__ = "0.1.0"
