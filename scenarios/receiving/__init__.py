"""Mail that is fetched, and mail that is obeyed (section 6.1.2)."""
