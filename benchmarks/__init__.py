"""Speed against a loop written by hand, and against frameworks: python -m benchmarks.speed"""
