"""The gradient of every method on the same batches at a fixed checkpoint."""
