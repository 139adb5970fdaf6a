"""Mail that becomes something else (section 6.1.3)."""
