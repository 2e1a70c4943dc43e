"""What the models share: encoder, pooling, head, losses."""
