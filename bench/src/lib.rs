//! What the measurements share: inputs that are the same every time, and what a process knows about its own cost.
//!
//! `bench/run` runs everything and writes `bench/RESULTS.md`; `cargo bench -p bench` runs the small kernels.

#![warn(missing_docs)]

pub mod invoice;
pub mod process;
mod random;
pub mod targets;
