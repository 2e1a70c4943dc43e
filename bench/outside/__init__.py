"""What was made elsewhere: predictions, scored like those of our own runs, and checkpoints of the authors' programs."""
