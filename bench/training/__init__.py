"""Training: stages, optimizer, checkpoints, interruption."""
