//! The driver over generated markets: partitions do not matter, and it is what the machines give one after the other.
