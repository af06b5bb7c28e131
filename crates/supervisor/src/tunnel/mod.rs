//! tunnel (being written).
