"""Cases: what is compared."""
