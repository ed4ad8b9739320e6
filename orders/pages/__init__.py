"""What people see in a browser: the market page, signing in and out."""
