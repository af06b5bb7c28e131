//! cargo fuzz's program for `targets::transport_decoders`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tunneld_fuzz::targets::transport_decoders(data));
