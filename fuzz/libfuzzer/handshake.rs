//! The target `handshake` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    windrose_fuzz::targets::handshake::run(data);
});
