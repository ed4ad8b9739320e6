"""Django's backend for PostgreSQL, with some connections that are kept from one request to the next."""
