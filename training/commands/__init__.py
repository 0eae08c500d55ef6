"""The commands of `hark-train`, one module each.

What needs TensorFlow, scikit-learn or matplotlib is imported by the command that needs it, once it
runs: `--help` and a mistyped option answer at once.
"""
