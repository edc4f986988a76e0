"""The verbs of the command line, one file each; a file's name is its verb."""
