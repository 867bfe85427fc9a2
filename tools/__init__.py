"""Development tools: set-up, images, benchmarks. Nothing here is installed."""
