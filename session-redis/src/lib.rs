//! Sessions for many machines.
