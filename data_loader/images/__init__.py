"""Images: which files there are, reading one, its transforms, and keeping what was decoded."""
