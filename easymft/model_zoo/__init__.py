"""Names to weights: Hugging Face, TF1 and TF2 checkpoints, read and written strictly."""
