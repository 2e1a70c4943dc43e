"""From weights to logits and predictions, and what is computed once and kept for it."""
