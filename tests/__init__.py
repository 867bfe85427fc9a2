"""Tests. Run them by `make test`."""
