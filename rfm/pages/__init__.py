"""Pages to look at: datasets, results and runs as single HTML files that need neither network nor server."""
