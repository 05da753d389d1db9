"""What reports cost in books of ten million records, and what such books cost the calls."""
