"""The documents as a site: `pages` puts them together, `commands` writes the reference of the command line."""
