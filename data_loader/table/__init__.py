"""Tables: from a CSV file to columns, and from columns to features and targets."""
