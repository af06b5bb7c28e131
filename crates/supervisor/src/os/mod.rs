//! os (being written).
