"""The paper's tables and figures and our own studies, one study a file; see ``python -m examples.reproduce --help``."""
