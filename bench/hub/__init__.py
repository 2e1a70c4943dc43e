"""The Hugging Face Hub: cards of trained models, and runs put there."""
