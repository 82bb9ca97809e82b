"""Sightline: reinforcement learning for vision-language models that rewards looking."""
