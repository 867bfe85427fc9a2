"""Builds the demo image and the test images: ``python -m tools.images NAME...``."""
