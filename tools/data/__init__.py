"""A first look at the data that a config names, as a page, before training."""
