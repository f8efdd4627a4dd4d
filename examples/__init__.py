"""Programs that show the library at work, and ``examples.reproduce``, the studies."""
