"""The verbs used less often, one module each: python -m tools.export --help"""
