"""Answers as shaded tokens, and what scored tokens say about looking."""
