"""Publish–subscribe (XEP-0060): what the service `pubsub.DOMAIN` and every account share."""
