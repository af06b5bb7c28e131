//! The fuzz targets, each a function of bytes that panics where a property does not hold. `cargo fuzz` runs them without
//! end (`make fuzz`); the tests run them over the kept corpus (`tests/fuzz`), with any cargo.

pub mod targets;
