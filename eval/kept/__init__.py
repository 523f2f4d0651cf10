"""The share of its teacher's scores that a student keeps."""
