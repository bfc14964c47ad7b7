//! Tests of this module as a whole.
