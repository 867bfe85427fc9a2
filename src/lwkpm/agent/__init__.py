"""The node agent: carries a `Plan` out."""
