"""What happens in chat rooms. The extension that has them is `extensions/rooms.py`."""
