"""Mail that is composed and sent (section 6.1.1)."""
