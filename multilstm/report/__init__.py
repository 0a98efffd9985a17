"""What multilstm shows: models as text, and the outcome of comparisons as data, as a table and as a page."""
