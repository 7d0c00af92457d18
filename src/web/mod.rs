//! HTTP: routes, extractors, errors to answers. Only this module knows it on the serving side.

pub mod pipeline;
