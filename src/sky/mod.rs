//! (being written)

pub mod tangent;
