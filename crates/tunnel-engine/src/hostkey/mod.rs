//! hostkey (being written).
