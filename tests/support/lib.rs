//! What the tests share (being written).
