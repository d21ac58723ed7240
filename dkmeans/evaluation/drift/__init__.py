"""What the rows of a fit were like, and whether later rows are like them."""
