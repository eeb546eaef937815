"""Supervised fine-tuning with the plain Hugging Face Trainer."""
