//! cargo fuzz's program for `targets::autossh_argv`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tunneld_fuzz::targets::autossh_argv(data));
