"""Where a run's words, numbers and pictures go."""
