//! cargo fuzz's program for `targets::server_greeting`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tunneld_fuzz::targets::server_greeting(data));
