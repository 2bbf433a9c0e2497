#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oh_fuzzed::responses(data));
