"""Which tables a report has, and what stands in their cells."""
