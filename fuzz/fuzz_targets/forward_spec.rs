//! cargo fuzz's program for `targets::forward_spec`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tunneld_fuzz::targets::forward_spec(data));
