"""What a TRL run holds beside its weights, and how the model is loaded and saved."""
