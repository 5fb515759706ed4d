//! When reports are made: times of day in the reader's zone.
