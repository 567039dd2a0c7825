"""What new_project.py does: which files a copy has, a config for data of one's own, a copy's update."""
