"""Many pictures: what is to be read, what is to be written, one outcome each."""
