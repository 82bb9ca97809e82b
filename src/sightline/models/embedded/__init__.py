"""The embedded model: a Qwen3-VL of a million parameters that has learned to see the Shapes world."""
