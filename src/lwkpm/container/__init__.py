"""How an image becomes a running container."""
