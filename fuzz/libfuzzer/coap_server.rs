//! The target `coap_server` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    windrose_fuzz::targets::coap_server::run(data);
});
