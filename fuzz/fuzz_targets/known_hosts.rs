//! cargo fuzz's program for `targets::known_hosts`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tunneld_fuzz::targets::known_hosts(data));
