//! cargo fuzz's program for `targets::server_offer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tunneld_fuzz::targets::server_offer(data));
