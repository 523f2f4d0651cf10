"""Text in, arrays out."""
