"""The command line: parses options, calls the library and prints. It decides only default names, as photo_4x.jpg."""
