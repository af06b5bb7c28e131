//! The one task that owns the tunnels (being written).

pub mod snapshot;
