"""The command line parses, calls and prints. It decides only what is called how by default, such as photo_4x.jpg."""
