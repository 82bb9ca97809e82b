"""Charts as geometry: scales, lines, numbers as text, titles of metrics."""
