"""The HTTP surface: one router a capability, each a thin adapter over app.inference."""
