//! The log over a disk in memory: placing, syncing, cleaning and its answers to failures.
