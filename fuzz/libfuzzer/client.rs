//! The target `client` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    windrose_fuzz::targets::client::run(data);
});
