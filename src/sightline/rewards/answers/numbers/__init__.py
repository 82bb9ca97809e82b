"""Numbers, quantities with units, and polynomials, read from text and compared exactly."""
