"""The published baselines, registered through the entry points an outside package would use."""
