"""Documents: reading, checking, cataloguing, turning into features and batches."""
