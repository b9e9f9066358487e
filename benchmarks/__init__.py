"""How fast it is on this machine: ``make bench``. Numbers are printed and kept, never asserted."""
