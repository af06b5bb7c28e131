//! cargo fuzz's program for `targets::transport_session`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tunneld_fuzz::targets::transport_session(data));
