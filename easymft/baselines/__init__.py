"""What meta fine-tuning is compared with (METHODS.md 1.5), trained by the same steps."""
