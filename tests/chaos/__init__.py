"""A service under twice the load that it can carry, while its parts are broken on purpose."""
