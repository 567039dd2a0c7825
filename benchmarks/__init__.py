"""Speed against a loop written by hand: python -m benchmarks.speed"""
