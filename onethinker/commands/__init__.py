"""The commands, one file each, named as the file is."""
