"""Where methods meet training: one folder per upstream engine."""
