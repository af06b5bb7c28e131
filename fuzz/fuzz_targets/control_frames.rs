//! cargo fuzz's program for `targets::control_frames`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tunneld_fuzz::targets::control_frames(data));
