"""The nine printed listings, told step for step in Python with their faults kept: what `AS=book` plays."""
