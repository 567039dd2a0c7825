"""Datasets and their loaders, one file each. A config finds them by class name."""
