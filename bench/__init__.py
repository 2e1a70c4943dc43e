"""docre-bench: one harness for document-level relation extraction."""
