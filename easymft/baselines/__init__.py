"""What meta fine-tuning is compared with (docs/methods.md 1.5), trained by the same steps."""
