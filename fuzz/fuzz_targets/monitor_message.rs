//! cargo fuzz's program for `targets::monitor_message`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tunneld_fuzz::targets::monitor_message(data));
