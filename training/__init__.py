"""The bench that makes the models: a client of app.audio and app.inference, never the reverse."""
