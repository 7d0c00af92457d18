//! Functions of the IVOA's catalogue of user-defined functions.

use super::function::Function;

pub const FUNCTIONS: &[Function] = &[];
