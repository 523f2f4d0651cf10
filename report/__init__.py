"""Tables, pictures and reports."""
