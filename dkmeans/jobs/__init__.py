"""Jobs: one YAML file each, the gates that guard a promotion, and what is kept of every attempt."""
