"""What a run costs: time, memory, sizes. Tables are printed in Markdown, numbers land as JSON."""
