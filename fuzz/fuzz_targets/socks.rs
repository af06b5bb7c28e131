//! cargo fuzz's program for `targets::socks`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tunneld_fuzz::targets::socks(data));
