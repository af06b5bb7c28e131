//! cargo fuzz's program for `targets::ssh_config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tunneld_fuzz::targets::ssh_config(data));
