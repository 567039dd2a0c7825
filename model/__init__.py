"""Architectures, one file each; loss.py and metric.py. A config finds them by name."""
