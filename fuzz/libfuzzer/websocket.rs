//! The target `websocket` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    windrose_fuzz::targets::websocket::run(data);
});
