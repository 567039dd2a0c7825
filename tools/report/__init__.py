"""One HTML file of what runs did: their results, curves, pictures, configs, and how to repeat them."""
