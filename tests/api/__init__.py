"""The REST door, one file an endpoint."""
