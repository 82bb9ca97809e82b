"""Answers from a model: prompts with images -> token ids."""
