#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| olog_hub::fuzz::alerts(bytes));
