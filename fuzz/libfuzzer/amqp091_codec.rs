//! The target `amqp091_codec` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    windrose_fuzz::targets::amqp091_codec::run(data);
});
