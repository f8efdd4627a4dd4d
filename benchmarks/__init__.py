"""Measurements: what a run costs, and what it achieves. Tables are printed in Markdown, numbers land as JSON."""
