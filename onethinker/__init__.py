"""The front door: the command line, the demo, the local teacher and the viewer."""
