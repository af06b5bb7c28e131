//! cargo fuzz's program for `targets::channel_messages`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tunneld_fuzz::targets::channel_messages(data));
