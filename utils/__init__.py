"""Small pieces that know nothing of the task. Import them by module, so that a script loads only what it uses."""
