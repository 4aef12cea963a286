"""Many pictures: a job says what is read and what is written, and each picture has one outcome."""
