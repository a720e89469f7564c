//! The target `amqp_client` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    windrose_fuzz::targets::amqp_client::run(data);
});
