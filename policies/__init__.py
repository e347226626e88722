"""What may be said, stored and done."""
