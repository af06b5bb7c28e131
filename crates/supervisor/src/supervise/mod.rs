//! The one task that owns the tunnels (being written).

pub mod plan;
pub mod snapshot;
