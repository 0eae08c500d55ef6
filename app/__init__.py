"""What a Hark container runs: audio, inference and the HTTP service around them."""
