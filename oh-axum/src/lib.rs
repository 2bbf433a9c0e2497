//! Open Humans.
