"""Find the same places in two pictures: a small package, as a file of your own project may be a part of one."""
