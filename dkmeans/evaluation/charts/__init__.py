"""What charts show, as plain arrays: reduced by stated rules, and not drawn."""
