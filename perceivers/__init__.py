"""What comes in, and what it says of the person."""
