"""Search for the best settings: python -m tools.tune --help"""
